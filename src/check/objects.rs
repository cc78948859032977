//! What the files declare, and what can be said of it before anybody is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::api::ObjectMeta;

use crate::domain::endpoints::AllowedEndpoints;
use crate::domain::mailbox::desired::MailboxDesired;
use crate::domain::permission::Labels;
use crate::domain::records::{MailboxRecord, TenantRecord};
use crate::domain::tenant::desired::TenantDesired;
use crate::ids::ObjectKey;
use crate::plain::harmless;

/// Where an object is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Line in which the document begins, from 1.
    pub line: usize,
    /// Number of the document in the file, from 1.
    pub document: usize,
    /// Kind and name, as far as they are known.
    pub object: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            document,
            object,
        } = self;
        write!(f, "{file}:{line} (document {document}")?;
        if object.is_empty() {
            f.write_str(")")
        } else {
            write!(f, ", {object})")
        }
    }
}

/// Something that is wrong with the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Which field, and what to do.
    pub says: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&harmless(&format!("{}: {}", self.place, self.says)))
    }
}

/// Everything that is wrong with the files, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(problems) = self;
        match problems.len() {
            1 => writeln!(f, "nothing was checked, one problem in the files:")?,
            n => writeln!(f, "nothing was checked, {n} problems in the files:")?,
        }
        problems
            .iter()
            .try_for_each(|problem| writeln!(f, "  - {problem}"))
    }
}

impl std::error::Error for Problems {}

/// An object and where it is declared.
#[derive(Clone, Debug)]
pub struct Declared<R> {
    /// Where.
    pub place: Place,
    /// As the decisions use it.
    pub record: R,
}

/// What the files declare.
#[derive(Default)]
pub struct Objects {
    /// Tenants, in their order.
    pub tenants: Vec<Declared<TenantRecord>>,
    /// Mailboxes, in their order.
    pub mailboxes: Vec<Declared<MailboxRecord>>,
    /// Secrets that may hold credentials.
    pub secrets: BTreeMap<ObjectKey, SecretObject>,
    /// ServiceAccounts.
    pub accounts: BTreeMap<ObjectKey, ObjectMeta>,
    /// Labels of namespaces.
    pub namespaces: BTreeMap<Arc<str>, Labels>,
    /// What was left aside, in sentences.
    pub left_aside: Vec<String>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("tenants", &self.tenants)
            .field("mailboxes", &self.mailboxes)
            .finish_non_exhaustive()
    }
}

impl Objects {
    /// What is wrong between objects, or with a spec that the schema lets pass.
    #[must_use]
    pub fn problems(&self, allowed: &AllowedEndpoints) -> Vec<Problem> {
        let mut found = Vec::new();
        for Declared { place, record } in &self.tenants {
            let (namespace, spec) = (&record.key.namespace, &record.spec);
            // Hosts that may not be called are a condition, as in the cluster.
            if let Err(problem) = TenantDesired::from_spec(namespace, spec, allowed)
                && !problem.forbids_calls()
            {
                found.push(at(place, problem.message));
            }
        }
        let tenants: BTreeSet<&ObjectKey> = self.tenants.iter().map(|t| &t.record.key).collect();
        for Declared { place, record } in &self.mailboxes {
            match MailboxDesired::from_spec(&record.key.namespace, &record.spec) {
                Err(says) => found.push(at(place, says)),
                Ok(desired) if !tenants.contains(&desired.tenant) => {
                    let says = format!(
                        "spec.tenantRef names CalendarTenant {}, which is in none of the files. Add its file with -f, or correct spec.tenantRef.",
                        desired.tenant
                    );
                    found.push(at(place, says));
                }
                Ok(_) => {}
            }
        }
        found
    }
}

fn at(place: &Place, says: String) -> Problem {
    Problem {
        place: place.clone(),
        says,
    }
}
