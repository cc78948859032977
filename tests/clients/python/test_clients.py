"""Microsoft's Python libraries against the emulator: configured, not patched."""

import logging
import os
import unittest
from datetime import datetime, timedelta, timezone

import httpx
import msal
from azure.identity import CertificateCredential, ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from msgraph import GraphServiceClient
from msgraph.generated.models.date_time_time_zone import DateTimeTimeZone
from msgraph.generated.models.event import Event
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.subscription import Subscription
from msgraph.generated.users.users_request_builder import UsersRequestBuilder
from msgraph.graph_request_adapter import GraphRequestAdapter

EMULATOR = os.environ["EMULATOR_URL"].rstrip("/")
RECEIVER = os.environ["RECEIVER_URL"]
CA = os.environ["EMULATOR_CA"]
TENANT = "5f1d7a9c-1111-4000-8000-000000000001"
CLIENT = "5f1d7a9c-2222-4000-8000-000000000001"
SECRET = "demo-secret"
SCOPE = "https://graph.microsoft.com/.default"
ROOM = "room-a@contoso.example"


class Msal(unittest.TestCase):
    def application(self, secret):
        return msal.ConfidentialClientApplication(
            CLIENT,
            authority=f"{EMULATOR}/{TENANT}",
            client_credential=secret,
            instance_discovery=False,
            verify=CA,
        )

    def test_a_secret_gives_a_token(self):
        result = self.application(SECRET).acquire_token_for_client([SCOPE])
        self.assertIn("access_token", result, result)

    def test_a_wrong_secret_is_named(self):
        result = self.application("wrong").acquire_token_for_client([SCOPE])
        self.assertEqual(result["error"], "invalid_client")
        self.assertEqual(result["error_codes"], [7000215])

    def test_a_certificate_gives_a_token(self):
        with open(os.environ["CLIENT_CERTIFICATE"], encoding="utf-8") as file:
            pem = file.read()
        credential = {"private_key": pem, "public_certificate": pem}
        result = self.application(credential).acquire_token_for_client([SCOPE])
        self.assertIn("access_token", result, result)


class AzureIdentity(unittest.TestCase):
    options = {
        "authority": EMULATOR,
        "disable_instance_discovery": True,
        "connection_verify": CA,
    }

    def test_a_secret_gives_a_token(self):
        credential = ClientSecretCredential(TENANT, CLIENT, SECRET, **self.options)
        self.assertTrue(credential.get_token(SCOPE).token)

    def test_a_certificate_gives_a_token(self):
        path = os.environ["CLIENT_CERTIFICATE"]
        credential = CertificateCredential(TENANT, CLIENT, path, **self.options)
        self.assertTrue(credential.get_token(SCOPE).token)


class MsGraph(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.credential = AsyncClientSecretCredential(
            TENANT, CLIENT, SECRET, **AzureIdentity.options
        )
        # The library sends tokens to Microsoft's hosts only, unless it is told of others.
        host = EMULATOR.split("//")[1]
        provider = AzureIdentityAuthenticationProvider(
            self.credential, scopes=[SCOPE], allowed_hosts=[host, host.split(":")[0]]
        )
        self.http = httpx.AsyncClient(verify=CA)
        adapter = GraphRequestAdapter(provider, self.http)
        adapter.base_url = f"{EMULATOR}/v1.0"
        self.graph = GraphServiceClient(request_adapter=adapter)

    async def asyncTearDown(self):
        await self.http.aclose()
        await self.credential.close()

    async def test_the_directory_can_be_read(self):
        organization = await self.graph.organization.get()
        self.assertEqual(organization.value[0].id, TENANT)
        domains = await self.graph.domains.get()
        self.assertFalse({one.id: one for one in domains.value}["old.example"].is_verified)
        query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(
            filter="proxyAddresses/any(p:p eq 'smtp:a@contoso.example')",
            select=["id", "mail", "proxyAddresses"],
        )
        users = await self.graph.users.get(RequestConfiguration(query_parameters=query))
        self.assertEqual([user.mail for user in users.value], [ROOM])

    async def test_rooms_are_places_with_a_calendar(self):
        rooms = await self.graph.places.graph_room.get()
        self.assertIn(ROOM, [room.email_address for room in rooms.value])
        calendar = await self.graph.users.by_user_id(ROOM).calendar.get()
        self.assertEqual(calendar.owner.address, ROOM)

    async def test_a_missing_user_is_an_odata_error(self):
        with self.assertRaises(ODataError) as raised:
            await self.graph.users.by_user_id("nobody@contoso.example").get()
        self.assertEqual(raised.exception.response_status_code, 404)
        self.assertEqual(raised.exception.error.code, "Request_ResourceNotFound")

    async def test_an_event_can_be_written_and_removed(self):
        def utc(hour):
            return DateTimeTimeZone(date_time=f"2030-01-01T{hour}:00:00", time_zone="UTC")

        events = self.graph.users.by_user_id(ROOM).events
        created = await events.post(Event(subject="Test", start=utc("09"), end=utc("10")))
        event = events.by_event_id(created.id)
        self.assertEqual((await event.get()).subject, "Test")
        await event.patch(Event(subject="Other"))
        await event.delete()

    async def test_a_subscription_can_be_made_renewed_and_removed(self):
        until = datetime.now(timezone.utc) + timedelta(hours=2)
        created = await self.graph.subscriptions.post(
            Subscription(
                change_type="created,updated,deleted",
                client_state="state",
                expiration_date_time=until,
                lifecycle_notification_url=f"{RECEIVER}/lifecycle",
                notification_url=f"{RECEIVER}/notifications",
                resource=f"users/{ROOM}/events",
            )
        )
        one = self.graph.subscriptions.by_subscription_id(created.id)
        later = until + timedelta(hours=1)
        renewed = await one.patch(Subscription(expiration_date_time=later))
        self.assertEqual(renewed.expiration_date_time, later)
        listed = await self.graph.subscriptions.get()
        self.assertIn(created.id, [each.id for each in listed.value])
        await one.reauthorize.post()
        await one.delete()


if __name__ == "__main__":
    # The libraries warn about their own generated code, and asyncio about slow machines.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    unittest.main(warnings="ignore")
