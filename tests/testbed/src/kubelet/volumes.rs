//! Volumes as folders: written once, when the pod starts. The kubelet would also follow later changes.

use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIVolumeFile, KeyToPath, SecretProjection, Volume,
    VolumeProjection,
};

use super::environment::required;
use super::ground::{Contents, Ground, missing};
use crate::error::{Attempt, Error};

/// Fills the folder of a volume.
pub(super) async fn fill(ground: &Ground, volume: &Volume, folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).attempt(format!("make {}", folder.display()))?;
    if volume.empty_dir.is_some() {
        return Ok(());
    }
    if let Some(projected) = &volume.projected {
        for source in projected.sources.iter().flatten() {
            project(ground, source, folder).await?;
        }
        return Ok(());
    }
    project(ground, &as_projection(volume)?, folder).await
}

/// A volume of one source is a projection of that source.
fn as_projection(volume: &Volume) -> Result<VolumeProjection, Error> {
    let mut projection = VolumeProjection::default();
    if let Some(secret) = &volume.secret {
        projection.secret = Some(SecretProjection {
            items: secret.items.clone(),
            name: secret.secret_name.clone().unwrap_or_default(),
            optional: secret.optional,
        });
    } else if let Some(map) = &volume.config_map {
        projection.config_map = Some(ConfigMapProjection {
            items: map.items.clone(),
            name: map.name.clone(),
            optional: map.optional,
        });
    } else if let Some(fields) = &volume.downward_api {
        projection.downward_api = Some(k8s_openapi::api::core::v1::DownwardAPIProjection {
            items: fields.items.clone(),
        });
    } else {
        let name = format!("the volume {}", volume.name);
        return Err(missing(&name, "this kind of volume is not played"));
    }
    Ok(projection)
}

async fn project(ground: &Ground, source: &VolumeProjection, folder: &Path) -> Result<(), Error> {
    if let Some(token) = &source.service_account_token {
        let text = ground.token(token).await?;
        return write(folder, &token.path, text.as_bytes());
    }
    if let Some(secret) = &source.secret {
        let contents = ground.secret(&secret.name).await?;
        let contents = required(contents, &secret.name, secret.optional)?;
        return write_all(folder, contents, secret.items.as_deref());
    }
    if let Some(map) = &source.config_map {
        let contents = ground.config_map(&map.name).await?;
        let contents = required(contents, &map.name, map.optional)?;
        return write_all(folder, contents, map.items.as_deref());
    }
    let fields = source.downward_api.as_ref().and_then(|d| d.items.as_ref());
    fields
        .into_iter()
        .flatten()
        .try_for_each(|file| write_field(ground, file, folder))
}

fn write_field(ground: &Ground, file: &DownwardAPIVolumeFile, folder: &Path) -> Result<(), Error> {
    let path = file.field_ref.as_ref().map(|field| &field.field_path);
    let path = path.ok_or_else(|| missing(&file.path, "resourceFieldRef is not played"))?;
    write(folder, &file.path, ground.field(path)?.as_bytes())
}

/// All keys, or those that are listed, under their paths.
fn write_all(
    folder: &Path,
    contents: Option<Contents>,
    items: Option<&[KeyToPath]>,
) -> Result<(), Error> {
    let contents = contents.unwrap_or_default();
    let Some(items) = items else {
        let mut all = contents.iter();
        return all.try_for_each(|(key, value)| write(folder, key, value));
    };
    for item in items {
        let value = contents.get(&item.key);
        let value = value.ok_or_else(|| missing(&item.key, "there is no such key"))?;
        write(folder, &item.path, value)?;
    }
    Ok(())
}

fn write(folder: &Path, path: &str, content: &[u8]) -> Result<(), Error> {
    let path = folder.join(path);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).attempt(format!("make {}", parent.display()))?;
    fs::write(&path, content).attempt(format!("write {}", path.display()))
}
