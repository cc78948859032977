//! What many objects have in common, such as what a condition says or how a namespace is called: each is kept once. So are
//! whole lists of conditions: mailboxes that were found to work in the same second say the same.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::api::v1alpha1::condition::Condition;

/// So many values are always worth keeping.
const FEW: usize = 256;

/// What is shared.
#[derive(Debug, Default)]
pub struct Texts {
    texts: Pool<str>,
    conditions: Pool<[Condition]>,
}

impl Texts {
    /// Lets `text` be the one that is kept.
    pub fn share(&mut self, text: &mut Arc<str>) {
        match self.texts.find(text) {
            Some(known) => *text = known,
            None => self.texts.add(Arc::clone(text)),
        }
    }

    /// Lets `conditions` be those that are kept, and what they say.
    pub fn share_conditions(&mut self, conditions: &mut Arc<[Condition]>) {
        if let Some(known) = self.conditions.find(conditions) {
            *conditions = known;
            return;
        }
        let mut own: Vec<Condition> = conditions.to_vec();
        for condition in &mut own {
            self.share(&mut condition.message);
        }
        *conditions = own.into();
        self.conditions.add(Arc::clone(conditions));
    }
}

/// Values that are in use, and some that were.
#[derive(Debug)]
struct Pool<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// How many were in use when that was last looked at.
    in_use: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self {
            known: HashSet::new(),
            in_use: 0,
        }
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    fn find(&self, value: &T) -> Option<Arc<T>> {
        self.known.get(value).cloned()
    }

    fn add(&mut self, value: Arc<T>) {
        if self.known.len() >= FEW.max(self.in_use.saturating_mul(2)) {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.in_use = self.known.len();
        }
        self.known.insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_become_one() {
        let mut texts = Texts::default();
        let (mut first, mut second): (Arc<str>, Arc<str>) = ("said".into(), "said".into());
        texts.share(&mut first);
        texts.share(&mut second);
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn what_nobody_says_any_more_is_forgotten() {
        let mut texts = Texts::default();
        let mut kept: Arc<str> = "kept".into();
        texts.share(&mut kept);
        for number in 0..10 * FEW {
            texts.share(&mut number.to_string().into());
        }
        assert!(texts.texts.known.len() <= FEW);
        assert!(texts.texts.known.contains("kept"));
    }
}
