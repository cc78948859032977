//! Texts that many objects have in common, such as what a condition says or how a namespace is called: each is kept once.

use std::collections::HashSet;
use std::sync::Arc;

/// So many texts are always worth keeping.
const FEW: usize = 256;

/// Texts that are in use, and some that were.
#[derive(Debug, Default)]
pub struct Texts {
    known: HashSet<Arc<str>>,
    /// How many were in use when that was last looked at.
    in_use: usize,
}

impl Texts {
    /// Lets `text` be the one that is kept.
    pub fn share(&mut self, text: &mut Arc<str>) {
        if let Some(known) = self.known.get(text) {
            *text = Arc::clone(known);
            return;
        }
        if self.known.len() >= FEW.max(self.in_use.saturating_mul(2)) {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.in_use = self.known.len();
        }
        self.known.insert(Arc::clone(text));
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
        assert!(texts.known.len() <= FEW);
        assert!(texts.known.contains("kept"));
    }
}
