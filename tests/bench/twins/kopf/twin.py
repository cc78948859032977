"""A twin of the operator's first validation of a mailbox, as kopf wants it written: handlers, in-memory indices instead of
reads, aiohttp, and a status that kopf patches. For each WorkspaceMailbox it asks Microsoft the same three questions and
writes one status of the same shape.

It does less than the operator: no subscriptions and no handshakes for them, no quotas, no checks of tenants, no Events, no
metrics, no peering. A mailbox is looked at when it is created or changed and when the program starts.
"""

import base64
import datetime
import logging

import kopf

from microsoft import Microsoft, Refused, Tenant

API = ("hybridcalendar.dev", "v1alpha1")

# Problems in order of precedence: whether one keeps the mailbox from being Ready, and the reason when there is none.
CONDITIONS = [
    ("TenantNotReady", True, "TenantReady"),
    ("Conflict", True, "NoConflict"),
    ("DomainMismatch", True, "DomainVerified"),
    ("MailboxNotFound", True, "MailboxFound"),
    ("AddressMismatch", True, "PrimaryAddress"),
    ("Unauthorized", True, "Authorized"),
    ("SubscriptionInactive", True, "NotApplicable"),
    ("RoomNotListed", False, "Listed"),
]


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_):
    # An Event for each success would be one more write for each mailbox.
    settings.posting.level = logging.WARNING
    memo.microsoft = Microsoft()


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_):
    await memo.microsoft.close()


@kopf.index(*API, "calendartenants")
def tenants(namespace, name, spec, **_):
    return {(namespace, name): spec}


@kopf.index("v1", "secrets", labels={"hybridcalendar.dev/credential": "true"})
def secrets(namespace, name, body, **_):
    return {(namespace, name): body.get("data", {})}


@kopf.on.create(*API, "workspacemailboxes")
@kopf.on.update(*API, "workspacemailboxes", field="spec")
@kopf.on.resume(*API, "workspacemailboxes")
async def check(namespace, spec, meta, status, patch, memo, tenants, secrets, **_):
    tenant = sign_in(namespace, spec["tenantRef"]["name"], memo.microsoft, tenants, secrets)
    try:
        mailbox, problems = await look(tenant, spec["address"])
    except Refused as refused:
        raise kopf.TemporaryError(str(refused), delay=refused.retry_after) from refused
    for field, value in told(meta["generation"], status, mailbox, problems).items():
        if status.get(field) != value:
            patch.status[field] = value


def sign_in(namespace: str, name: str, microsoft: Microsoft, tenants, secrets) -> Tenant:
    """The tenant as its application sees it; object and Secret come from kopf's indices."""
    try:
        [spec] = tenants[namespace, name]
        reference = spec["credential"]["clientSecret"]["secretRef"]
        [data] = secrets[namespace, reference["name"]]
        secret = base64.b64decode(data[reference["key"]]).decode()
    except KeyError as missing:
        raise kopf.TemporaryError(f"{missing} is not there", delay=5) from missing
    endpoints = spec["endpoints"]
    return microsoft.tenant(endpoints["login"], endpoints["graph"], spec["tenantId"], spec["clientId"], secret)


async def look(tenant: Tenant, address: str) -> tuple[dict | None, dict[str, tuple[str, str]]]:
    """Asks the three questions, as long as the answers allow: the mailbox, and problems by condition."""
    users = await tenant.find_users(address)
    if not users:
        return None, {"MailboxNotFound": ("NotFound", f"No mailbox has the address {address}.")}
    user = users[0]
    if user["mail"].lower() != address.lower():
        return None, {"AddressMismatch": ("AliasUsed", f"The primary address is {user['mail']}.")}
    match await tenant.read_calendar(user["id"]):
        case 404:
            return None, {"MailboxNotFound": ("NotFound", f"Exchange Online has no mailbox for {address}.")}
        case 403:
            return None, {"Unauthorized": ("AccessPolicyDenied", f"The application may not read {address}.")}
    mailbox = {"id": user["id"], "primaryAddress": user["mail"], "displayName": user["displayName"]}
    if await tenant.find_place(address) != 200:
        return mailbox, {"RoomNotListed": ("NotInPlaces", f"Places does not list {address}.")}
    return mailbox, {}


def told(generation: int, status, mailbox: dict | None, problems: dict[str, tuple[str, str]]) -> dict:
    """The status that tells what was found."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = {condition["type"]: condition for condition in status.get("conditions", [])}

    def condition(name: str, is_so: str, reason: str, message: str) -> dict:
        known = before.get(name, {})
        since = known["lastTransitionTime"] if known.get("status") == is_so else now
        return {
            "type": name, "status": is_so, "reason": reason, "message": message,
            "lastTransitionTime": since, "observedGeneration": generation,
        }

    ready = condition("Ready", "True", "Activated", "The mailbox works. Its calendar is not being watched.")
    for name, blocks, _ in CONDITIONS:
        if blocks and name in problems:
            ready = condition("Ready", "False", name, ": ".join(problems[name]))
            break
    checks = [
        condition(name, "True", *problems[name]) if name in problems else condition(name, "False", otherwise, "")
        for name, _, otherwise in CONDITIONS
    ]
    fields = {"observedGeneration": generation, "conditions": [ready, *checks]}
    if mailbox is not None:
        fields["mailbox"] = mailbox
    if ready["status"] == "True":
        fields["activatedAt"] = status.get("activatedAt", now)
    was = before.get("Ready", {}).get("reason")
    if was != ready["reason"]:
        entry = {"time": now, "to": ready["reason"], "reason": ready["reason"], "message": ready["message"]}
        if was is not None:
            entry["from"] = was
        fields["history"] = [entry, *status.get("history", [])]
    return fields
