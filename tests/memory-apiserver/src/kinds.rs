//! Which kinds are served, and where.

use std::collections::BTreeMap;
use std::ops::Index;

use crate::resource::{Resource, built_ins};

/// Every kind, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kinds {
    all: Vec<Resource>,
    by_path: BTreeMap<(String, String, String), usize>,
}

impl Kinds {
    pub(crate) fn built_in() -> Self {
        let mut kinds = Self::default();
        for resource in built_ins() {
            kinds.add(resource);
        }
        kinds
    }

    /// Adds a kind, or replaces it; returns its number.
    pub(crate) fn add(&mut self, resource: Resource) -> usize {
        let path = (
            resource.group.clone(),
            resource.version.clone(),
            resource.plural.clone(),
        );
        if let Some(number) = self.by_path.get(&path) {
            self.all[*number] = resource;
            return *number;
        }
        self.by_path.insert(path, self.all.len());
        self.all.push(resource);
        self.all.len() - 1
    }

    pub(crate) fn at(&self, group: &str, version: &str, plural: &str) -> Option<usize> {
        let path = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.by_path.get(&path).copied()
    }

    /// By the name that manifests use.
    pub(crate) fn named(&self, kind: &str) -> Option<usize> {
        self.all.iter().position(|resource| resource.kind == kind)
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

impl Index<usize> for Kinds {
    type Output = Resource;

    fn index(&self, number: usize) -> &Resource {
        &self.all[number]
    }
}
