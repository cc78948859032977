//! What `docs/check.md` shows is what the program prints.

use serde_json::{Value, json};

use super::program::{Checked, check, start};
use crate::behaviour::scene::with;
use crate::markdown::blocks;
use crate::repository::read;

/// The address of the emulator in the sample.
const SAMPLE: &str = "http://127.0.0.1:8600";

/// The blocks of output on the page.
fn outputs() -> Vec<String> {
    blocks(&read("docs/check.md"))
        .into_iter()
        .filter(|block| block.language == "text")
        .map(|block| block.text)
        .collect()
}

/// The sample against an organization, as the page shows it.
async fn sample(organization: Value) -> Checked {
    let emulator = start(&organization).await;
    let address = emulator.base_url().trim_end_matches('/').to_owned();
    let sample = read("config/samples/emulator.yaml").replace(SAMPLE, &address);
    let objects: Vec<Value> = sample
        .split("\n---\n")
        .map(|document| serde_yaml_ng::from_str(document).unwrap())
        .collect();
    let mut checked = check(&emulator, &objects, &[]).await;
    checked.out = checked.out.replace(&address, SAMPLE);
    // The id of a request is another one each time.
    let lines = checked.out.lines();
    let lines: Vec<&str> = lines
        .map(|line| line.split(" (request-id").next().unwrap_or(line))
        .collect();
    checked.out = lines.join("\n") + "\n";
    checked
}

#[tokio::test]
async fn the_page_shows_what_the_program_prints() {
    let text = read("tests/graph-emulator/examples/world.yaml");
    let mut organization: Value = serde_yaml_ng::from_str(&text).unwrap();
    let [whole, part] = outputs().try_into().expect("two blocks");
    let checked = sample(organization.clone()).await;
    assert_eq!(
        (checked.out.as_str(), checked.code),
        (whole.as_str(), Some(0))
    );
    let application = &mut organization["tenants"][0]["applications"][0];
    *application = with(application.take(), json!({"roles": []}));
    let checked = sample(organization).await;
    for line in part.lines() {
        let shown = checked.out.lines().any(|printed| printed == line);
        assert!(shown, "no `{line}` in {}", checked.out);
    }
}
