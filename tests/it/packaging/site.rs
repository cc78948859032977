//! The documentation as a site: every page is in it, and every link on it leads somewhere.
//!
//! The site is built by mdBook as `make site` builds it; what is looked at is the HTML that people get.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::repository::{files, read, root};

const REPOSITORY: &str = "https://github.com/hybridcalendar/hybrid-calendar-operator/";

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_page_is_in_the_table_of_contents_and_the_other_way_round() {
    let summary = read("docs/SUMMARY.md");
    let named: Vec<String> = summary
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|path| format!("docs/{path}"))
        .collect();
    let once: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(once.len(), named.len(), "a page is named twice");
    let present: BTreeSet<String> = files("docs", &[".md"])
        .into_iter()
        .filter(|path| path != "docs/SUMMARY.md")
        .collect();
    assert_eq!(once, present);
}

/// Values of an attribute in HTML, as mdBook writes it.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    html.split(&format!(" {attribute}=\""))
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

struct Page {
    ids: BTreeSet<String>,
    links: Vec<String>,
}

/// Every page of the site by its path, without the copies that are for printing and for a missing page.
fn pages(site: &Path) -> BTreeMap<PathBuf, Page> {
    let mut found = BTreeMap::new();
    let mut open = vec![site.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let copy = ["print.html", "404.html", "toc.html"]
                .iter()
                .any(|name| path.ends_with(name));
            if path.extension().is_some_and(|e| e == "html") && !copy {
                let html = std::fs::read_to_string(&path).unwrap();
                // The page itself: what is around it is mdBook's own.
                let main = html.split("<main>").nth(1).unwrap_or_default();
                let main = main.split("</main>").next().unwrap_or_default();
                let links = [values(main, "href"), values(main, "src")].concat();
                let page = Page {
                    ids: values(&html, "id").into_iter().map(str::to_owned).collect(),
                    links: links.into_iter().map(str::to_owned).collect(),
                };
                found.insert(path, page);
            }
        }
    }
    found
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

/// What is wrong with a link on a page, if anything is.
fn problem(pages: &BTreeMap<PathBuf, Page>, page: &Path, link: &str) -> Option<String> {
    if let Some(rest) = link.strip_prefix(REPOSITORY) {
        let path = ["blob/main/", "tree/main/"]
            .iter()
            .find_map(|start| rest.strip_prefix(start))?;
        let exists = root().join(path).exists();
        return (!exists).then(|| format!("{link} is not in the repository"));
    }
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        file => plain(&page.parent().unwrap().join(file)),
    };
    if !target.is_file() {
        return Some(format!("{link} does not exist"));
    }
    let known = pages
        .get(&target)
        .is_none_or(|page| page.ids.contains(anchor));
    (!anchor.is_empty() && !known).then(|| format!("{link} names no heading"))
}

#[test]
fn every_link_of_the_built_site_leads_somewhere() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    let built = Command::new(root().join("tests/site/build"))
        .arg(&site)
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let pages = pages(&site);
    let expected = files("docs", &[".md"]).len() - 1;
    assert!(pages.len() >= expected, "{} pages", pages.len());
    let mut problems = Vec::new();
    for (path, page) in &pages {
        assert!(!page.links.is_empty(), "{} has no links", path.display());
        for link in &page.links {
            if let Some(problem) = problem(&pages, path, link) {
                let name = path.strip_prefix(&site).unwrap().display();
                problems.push(format!("{name}: {problem}"));
            }
        }
    }
    assert_none(&problems);
    let index = std::fs::read_dir(&site).unwrap();
    let searchable = index
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .any(|name| name.starts_with("searchindex"));
    assert!(searchable, "the site has no search index");
}
