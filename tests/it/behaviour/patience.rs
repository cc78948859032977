//! What does not end a subscription: trouble of the tenant, and a Microsoft that is slow, busy or away.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use graph_emulator::world::Location;
use graph_emulator::{Cut, FaultRule, Faults, JournalEntry, Operation, RetryAfter};
use jiff::SignedDuration;
use serde_json::{Value, json};
use testbed::objects::{self, Kind};
use testbed::testbed::Testbed;

use super::scene::{
    CLIENT, DEADLINE, SECRET, SOON, apply, company, company_room, company_tenant, eventually,
    mailbox_is, mark, only_subscription, organization_id, renewed_twice, request, secret, start,
    tenant_is, with, world,
};

#[tokio::test]
async fn trouble_of_a_tenant_shows_on_it_and_its_subscriptions_are_renewed_all_the_same() {
    let names = ["domain", "licence", "consent"];
    let mut companies: Vec<_> = (1..).zip(names).map(|(n, name)| company(name, n)).collect();
    let roles = companies[1]["applications"][0]["roles"].as_array_mut();
    roles.unwrap().push(json!("Calendars.ReadWrite"));
    let organization = json!({"limits": {"maxLifetime": "30s"}, "tenants": companies});
    let mut objects = vec![secret("credential", SECRET)];
    for (n, name) in (1..).zip(names) {
        objects.push(company_tenant(name, n));
        objects.push(company_room(name, "a"));
    }
    objects[1] = with(
        objects[1].clone(),
        json!({"spec": {"domains": ["domain.example"]}}),
    );
    let test_mailbox = json!({"spec": {"testMailbox": "room-b@licence.example"}});
    objects[3] = with(objects[3].clone(), test_mailbox);
    let bed = start(&organization, &objects).await;
    let mut ids = Vec::new();
    for name in names {
        mailbox_is(&bed, &format!("{name}-a"), "Ready=True/Activated").await;
        tenant_is(&bed, name, "Ready=True/Operational").await;
        ids.push(only_subscription(&bed, &format!("room-a@{name}.example")).id);
    }

    bed.emulator
        .update_world(|world| {
            world.tenants[0].domains[0].verified = false;
            world.tenants[1].mailboxes[1].location = Location::Unlicensed;
            let application = &mut world.tenants[2].applications[0];
            assert_eq!(application.client_id, CLIENT);
            application.roles.retain(|role| role != "Place.Read.All");
        })
        .unwrap();
    for name in names {
        request(&bed, Kind::Tenant, name, "trouble").await;
        request(&bed, Kind::Mailbox, &format!("{name}-a"), "trouble").await;
    }
    tenant_is(&bed, "domain", "DomainMismatch=True/DomainNotVerified").await;
    mailbox_is(&bed, "domain-a", "DomainMismatch=True").await;
    tenant_is(&bed, "licence", "TestMailboxFailed=True/NotLicensed").await;
    tenant_is(&bed, "consent", "Unauthorized=True/PermissionMissing").await;
    let renewals = names.iter().zip(&ids).map(async |(name, id)| {
        renewed_twice(&bed, &format!("room-a@{name}.example"), id).await;
    });
    join_all(renewals).await;
    for (name, id) in names.iter().zip(&ids) {
        let room = bed.get_mailbox(&format!("{name}-a")).await.unwrap();
        assert_eq!(room["status"]["subscription"]["id"], **id);
    }
    assert_eq!(bed.emulator.counts().of("createSubscription"), 3);
}

/// Each of these organizations has its own trouble with Microsoft.
const TROUBLED: [&str; 5] = ["seconds", "date", "busy", "cut", "silent"];

/// Mailboxes of the one that gets no answer at all: more than may be in flight for one tenant.
const SILENT_ROOMS: u32 = 30;

/// How often each trouble is met before it ends.
const OFTEN: [usize; 5] = [3, 3, 9, 9, 9];

/// Whether this call met the trouble of its company.
fn is_trouble(company: &str, call: &JournalEntry) -> bool {
    match company {
        "seconds" | "date" => call.status == 429,
        "busy" => call.status == 503,
        "cut" => call.status == 0,
        // Graph carries out what nobody waits for any more.
        _ => Duration::from_millis(call.duration_ms) >= WAIT,
    }
}

fn troubles() -> Faults {
    let about = |number, rule| FaultRule {
        operation: Operation::Any,
        tenant: Some(organization_id(number)),
        ..rule
    };
    let throttled = |retry_after| FaultRule {
        status: Some(429),
        retry_after: Some(retry_after),
        ..FaultRule::default()
    };
    let date = RetryAfter::HttpDate { http_date: WAIT };
    let rules = vec![
        about(1, throttled(RetryAfter::Seconds(WAIT.as_secs()))),
        about(2, throttled(date)),
        about(
            3,
            FaultRule {
                status: Some(503),
                body: Some(json!({"error": {"code": "UnknownError", "message": ""}})),
                ..FaultRule::default()
            },
        ),
        about(
            4,
            FaultRule {
                cut: Some(Cut::Before),
                ..FaultRule::default()
            },
        ),
        about(
            5,
            FaultRule {
                delay: Some(WAIT),
                ..FaultRule::default()
            },
        ),
    ];
    Faults {
        rules,
        ..Faults::default()
    }
}

/// What Microsoft asks to wait, and how long it is silent.
const WAIT: Duration = Duration::from_secs(30);

/// The troubled organizations with a room each, the silent one with many, and one that has no trouble.
async fn troubled_companies() -> Testbed {
    let names = TROUBLED.into_iter().chain(["calm"]);
    let mut companies: Vec<_> = (1..)
        .zip(names.clone())
        .map(|(n, name)| company(name, n))
        .collect();
    companies[4]["generate"] =
        json!({"rooms": SILENT_ROOMS, "prefix": "many-", "domain": "silent.example"});
    let mut objects = vec![secret("credential", SECRET)];
    for (n, name) in (1..).zip(names) {
        objects.push(company_tenant(name, n));
        objects.push(company_room(name, "a"));
    }
    for n in 1..=SILENT_ROOMS {
        let change = json!({
            "metadata": {"name": format!("silent-{n}")},
            "spec": {"address": format!("many-{n:06}@silent.example")},
        });
        objects.push(with(company_room("silent", "a"), change));
    }
    // Real waits are kept; patience must not be over before they are.
    let organization = world(&json!({"tenants": companies}));
    let bed = Testbed::start_with(organization, |options| options.rehearsal_pace = Some(3))
        .await
        .unwrap();
    apply(&bed, &objects).await;
    let expected = TROUBLED.len() + 1 + SILENT_ROOMS as usize;
    eventually(
        &bed,
        "everything is ready and counted",
        DEADLINE,
        async || {
            let tenants = objects::list(&bed.client, Kind::Tenant, &bed.namespace).await?;
            let ready = tenants.iter().filter_map(|tenant| {
                let mailboxes = &tenant["status"]["mailboxes"];
                (mailboxes["ready"] == mailboxes["total"]).then(|| mailboxes["ready"].as_u64())?
            });
            Ok(ready.sum::<u64>() == expected as u64)
        },
    )
    .await;
    bed
}

/// Every condition of every object, with the instant of its last flip.
async fn conditions(bed: &Testbed) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for kind in [Kind::Tenant, Kind::Mailbox] {
        for object in objects::list(&bed.client, kind, &bed.namespace)
            .await
            .unwrap()
        {
            let name = object["metadata"]["name"].as_str().unwrap();
            let conditions = object["status"]["conditions"].clone();
            all.insert(format!("{} {name}", kind.as_str()), conditions);
        }
    }
    all
}

/// The kind of a call for whose sake Graph may ask to wait.
fn same_kind(one: &JournalEntry, other: &JournalEntry) -> bool {
    one.operation == other.operation && one.tenant == other.tenant && one.mailbox == other.mailbox
}

/// No call came before the wait was over that an earlier one of its kind was told.
fn assert_waits_were_kept(journal: &[JournalEntry]) {
    let throttled: Vec<_> = journal.iter().filter(|entry| entry.status == 429).collect();
    assert!(throttled.len() >= 6, "{throttled:#?}");
    for told in throttled {
        let over = told.time + SignedDuration::from_millis(29_000);
        let early = journal
            .iter()
            .find(|entry| same_kind(entry, told) && entry.time > told.time && entry.time < over);
        assert_eq!(early, None, "too early after {told:?}");
    }
}

/// Waits until the company's room was looked at with success after the call with this number.
async fn recovered(bed: &Testbed, company: &str, since: u64) {
    let what = format!("{company} works again by itself");
    let address = format!("room-a@{company}.example");
    bed.wait_until(&what, DEADLINE, async || {
        let looked = |entry: &JournalEntry| {
            entry.status == 200
                && entry.operation == "getCalendar"
                && entry.mailbox.as_deref() == Some(address.as_str())
        };
        bed.emulator.journal(since).iter().any(looked)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_slow_busy_or_silent_microsoft_changes_no_condition_and_slows_no_other_tenant() {
    let bed = troubled_companies().await;
    let before = conditions(&bed).await;
    let mark = mark(&bed);
    bed.emulator.set_faults(troubles());
    for name in TROUBLED {
        request(&bed, Kind::Tenant, name, "trouble").await;
        request(&bed, Kind::Mailbox, &format!("{name}-a"), "trouble").await;
    }
    for n in 1..=SILENT_ROOMS {
        request(&bed, Kind::Mailbox, &format!("silent-{n}"), "trouble").await;
    }

    // All mailboxes of one tenant hang: a new room of another is ready all the same.
    apply(&bed, &[company_room("calm", "b")]).await;
    bed.wait_condition(Kind::Mailbox, "calm-b", "Ready=True/Activated", SOON)
        .await
        .unwrap();
    for n in 1..=SILENT_ROOMS {
        let room = bed.get_mailbox(&format!("silent-{n}")).await.unwrap();
        assert_ne!(
            room["status"]["lastHandledReconcileAt"], "trouble",
            "it hangs"
        );
    }

    bed.wait_until("every trouble was met", DEADLINE, async || {
        let journal = bed.emulator.journal(mark);
        let met = TROUBLED.iter().zip(1..).map(|(name, number)| {
            let organization = organization_id(number);
            let own = journal
                .iter()
                .filter(|entry| entry.tenant.as_deref() == Some(organization.as_str()));
            own.filter(|entry| is_trouble(name, entry)).count()
        });
        met.zip(OFTEN).all(|(met, often)| met >= often)
    })
    .await
    .unwrap();
    bed.emulator.set_faults(Faults::default());
    let cleared = bed.emulator.journal(mark).last().unwrap().seq;
    for name in TROUBLED {
        recovered(&bed, name, cleared).await;
    }
    assert_waits_were_kept(&bed.emulator.journal(mark));
    let mut after = conditions(&bed).await;
    after.remove("WorkspaceMailbox calm-b");
    assert_eq!(after, before, "{}", bed.situation().await);
}
