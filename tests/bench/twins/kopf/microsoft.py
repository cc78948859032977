"""Microsoft as a tenant's application sees it: a token for each credential, and three questions about a mailbox."""

import asyncio
import time
from urllib.parse import quote

import aiohttp

# How many calls are under way at once.
CONNECTIONS = 256
# A token is renewed so many seconds before it expires.
EARLY = 300


class Refused(Exception):
    """Graph or the login answered neither yes nor no."""

    def __init__(self, status: int, body: str, retry_after: str | None):
        super().__init__(f"Microsoft answered {status}: {body}")
        self.retry_after = float(retry_after) if retry_after and retry_after.isdigit() else 5.0


class Microsoft:
    """Connections and tokens, shared by all tenants."""

    def __init__(self):
        # No limit in all: it would count the time in which a call waits for its turn.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        self.session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        self.tenants: dict[tuple[str, ...], Tenant] = {}

    async def close(self):
        await self.session.close()

    def tenant(self, login: str, graph: str, tenant_id: str, client_id: str, secret: str) -> "Tenant":
        """The same object for the same credential."""
        key = (login, graph, tenant_id, client_id, secret)
        if key not in self.tenants:
            self.tenants[key] = Tenant(self.session, *key)
        return self.tenants[key]


class Tenant:
    """Graph for one tenant's application."""

    def __init__(self, session: aiohttp.ClientSession, login: str, graph: str, tenant_id: str, client_id: str, secret: str):
        self.session = session
        self.login = f"{login.rstrip('/')}/{tenant_id}/oauth2/v2.0/token"
        self.graph = f"{graph.rstrip('/')}/v1.0"
        self.form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": f"{graph.rstrip('/')}/.default",
        }
        self.lock = asyncio.Lock()
        self.authorization = ""
        self.renewed_at = 0.0

    async def find_users(self, address: str) -> list[dict]:
        """Who has an address."""
        quoted = address.replace("'", "''")
        parameters = {
            "$filter": f"proxyAddresses/any(p:p eq 'SMTP:{quoted}') or proxyAddresses/any(p:p eq 'smtp:{quoted}')",
            "$select": "id,displayName,mail,userPrincipalName,proxyAddresses,userType",
        }
        async with await self._get("/users", parameters) as answer:
            await _expect(answer, 200)
            return (await answer.json())["value"]

    async def read_calendar(self, mailbox: str) -> int:
        """Whether a mailbox can be read: 200, 403 or 404."""
        async with await self._get(f"/users/{quote(mailbox)}/calendar", {"$select": "id,owner"}) as answer:
            return await _expect(answer, 200, 403, 404)

    async def find_place(self, address: str) -> int:
        """Whether Places lists a room: 200, 403 or 404."""
        async with await self._get(f"/places/{quote(address)}", {}) as answer:
            return await _expect(answer, 200, 403, 404)

    async def _get(self, path: str, parameters: dict[str, str]) -> aiohttp.ClientResponse:
        headers = {"Authorization": await self._token()}
        return await self.session.get(self.graph + path, params=parameters, headers=headers)

    async def _token(self) -> str:
        """Fetched once for all who wait, and again before it expires."""
        async with self.lock:
            if time.monotonic() >= self.renewed_at:
                async with self.session.post(self.login, data=self.form) as answer:
                    await _expect(answer, 200)
                    token = await answer.json()
                self.authorization = f"Bearer {token['access_token']}"
                self.renewed_at = time.monotonic() + token["expires_in"] - EARLY
            return self.authorization


async def _expect(answer: aiohttp.ClientResponse, *expected: int) -> int:
    """The status, once the body is read so that the connection can be used again."""
    body = await answer.text()
    if answer.status not in expected:
        raise Refused(answer.status, body, answer.headers.get("Retry-After"))
    return answer.status
