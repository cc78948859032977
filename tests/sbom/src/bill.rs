//! The bill itself: CycloneDX 1.5, JSON. The same input always gives the same bytes.

use std::collections::BTreeSet;

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
    components.extend(distributions(systems).into_iter().map(operating_system));
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
    let mut component = json!({
        "type": "library",
        "bom-ref": system.purl,
        "name": system.name,
        "version": system.version,
        "purl": system.purl,
        "licenses": [{"expression": system.licence}],
    });
    // A distribution's advisories name source packages. Grype reads the package URL, Trivy these.
    if let Some((name, version)) = &system.upstream {
        component["properties"] = json!([
            {"name": "aquasecurity:trivy:SrcName", "value": name},
            {"name": "aquasecurity:trivy:SrcVersion", "value": version},
        ]);
    }
    component
}

/// Without one, scanners do not know whose advisories are about the packages. No package URL: there is none for systems.
fn operating_system((name, version): &(String, String)) -> Value {
    json!({
        "type": "operating-system",
        "bom-ref": format!("{name}-{version}"),
        "name": name,
        "version": version,
    })
}

fn distributions(systems: &[System]) -> BTreeSet<&(String, String)> {
    let named = systems.iter().map(|system| system.distribution.as_ref());
    named.flatten().collect()
}

/// What is no crate is used by the program as a whole; what is a distribution's belongs to that, besides.
fn dependencies(itself: &Package, made_of: &[Package], systems: &[System]) -> Vec<Value> {
    let crates = made_of.iter().map(|package| {
        let mut uses = package.uses.clone();
        if package.purl() == itself.purl() {
            uses.extend(systems.iter().map(|system| system.purl.clone()));
            let distributions = distributions(systems).into_iter();
            uses.extend(distributions.map(|(name, version)| format!("{name}-{version}")));
        }
        json!({"ref": package.purl(), "dependsOn": uses})
    });
    let of_systems = systems.iter().map(|system| json!({"ref": system.purl}));
    let of_distributions = distributions(systems).into_iter().map(|distribution| {
        let its = |system: &&System| system.distribution.as_ref() == Some(distribution);
        let packages: Vec<&str> = systems.iter().filter(its).map(|s| &*s.purl).collect();
        let (name, version) = distribution;
        json!({"ref": format!("{name}-{version}"), "dependsOn": packages})
    });
    crates.chain(of_systems).chain(of_distributions).collect()
}
