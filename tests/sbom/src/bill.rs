//! The bill itself: CycloneDX 1.5, JSON. The same input always gives the same bytes.

use serde_json::{Value, json};

use crate::inputs::{Error, Program, System};
use crate::packages::Package;

pub(crate) fn bill(
    program: &Program,
    made_of: &[Package],
    systems: &[System],
) -> Result<String, Error> {
    let found = made_of.iter().find(|p| p.name == program.package);
    let itself = found.ok_or_else(|| Error::Document {
        what: "messages of cargo build",
        message: format!("{} was not linked", program.package),
    })?;
    let mut described = component(itself, "application")?;
    described["hashes"] = json!([{"alg": "SHA-256", "content": program.sha256}]);
    let others = made_of
        .iter()
        .filter(|package| package.purl() != itself.purl());
    let mut components = others
        .map(|package| component(package, "library"))
        .collect::<Result<Vec<_>, _>>()?;
    components.extend(systems.iter().map(system));
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": program.timestamp,
            "lifecycles": [{"phase": "build"}],
            "component": described,
            "properties": [{"name": "hybridcalendar:target", "value": program.target}],
        },
        "components": components,
        "dependencies": dependencies(itself, made_of, systems),
    });
    Ok(format!("{bill:#}\n"))
}

fn component(package: &Package, kind: &str) -> Result<Value, Error> {
    let purl = package.purl();
    let mut component = json!({
        "type": kind,
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "licenses": [{"expression": package.licence()?}],
    });
    if let Some(sha256) = &package.sha256 {
        component["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
    }
    Ok(component)
}

fn system(system: &System) -> Value {
    json!({
        "type": "library",
        "bom-ref": system.purl,
        "name": system.name,
        "version": system.version,
        "purl": system.purl,
        "licenses": [{"expression": system.licence}],
    })
}

/// What is no crate is used by the program as a whole.
fn dependencies(itself: &Package, made_of: &[Package], systems: &[System]) -> Vec<Value> {
    let crates = made_of.iter().map(|package| {
        let mut uses = package.uses.clone();
        if package.purl() == itself.purl() {
            uses.extend(systems.iter().map(|system| system.purl.clone()));
        }
        json!({"ref": package.purl(), "dependsOn": uses})
    });
    let systems = systems.iter().map(|system| json!({"ref": system.purl}));
    crates.chain(systems).collect()
}
