//! Markdown, as far as tests read it: what is prose, and what is in fenced blocks.

/// A line and where it stands.
pub(crate) struct Line<'a> {
    pub(crate) text: &'a str,
    pub(crate) place: Place<'a>,
}

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// Outside of blocks.
    Prose,
    /// The beginning of a block in this language.
    Opening(&'a str),
    /// In a block in this language.
    Block(&'a str),
    /// The end of a block.
    Closing,
}

/// All lines of a page.
pub(crate) fn lines(page: &str) -> impl Iterator<Item = Line<'_>> {
    let mut open: Option<&str> = None;
    page.lines().map(move |text| {
        let fence = text.trim_start().strip_prefix("```");
        let place = match (fence, open) {
            (Some(language), None) => {
                let language = language.trim();
                open = Some(language);
                Place::Opening(language)
            }
            (Some(_), Some(_)) => {
                open = None;
                Place::Closing
            }
            (None, Some(language)) => Place::Block(language),
            (None, None) => Place::Prose,
        };
        Line { text, place }
    })
}

/// The lines outside of blocks.
pub(crate) fn prose(page: &str) -> impl Iterator<Item = &str> {
    lines(page)
        .filter(|line| line.place == Place::Prose)
        .map(|line| line.text)
}

/// A fenced block: its language and what is in it, without the indentation of a list.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

/// All blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut indent = 0;
    for Line { text, place } in lines(page) {
        match place {
            Place::Opening(language) => {
                indent = text.len() - text.trim_start().len();
                found.push(Block {
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            Place::Block(_) => {
                if let Some(block) = found.last_mut() {
                    block.text.push_str(text.get(indent..).unwrap_or_default());
                    block.text.push('\n');
                }
            }
            Place::Prose | Place::Closing => {}
        }
    }
    found
}

#[test]
fn blocks_are_told_from_prose() {
    let page = "a\n```sh\n# b\n```\n- c\n  ```\n  d\n    e\n\n  ```\nf\n";
    assert_eq!(prose(page).collect::<Vec<_>>(), ["a", "- c", "f"]);
    let found = blocks(page);
    let found: Vec<_> = found
        .iter()
        .map(|block| (block.language.as_str(), block.text.as_str()))
        .collect();
    assert_eq!(found, [("sh", "# b\n"), ("", "d\n  e\n\n")]);
}
