//! Reads and writes the ConfigMaps.
use crds::{OPERATOR_MANAGER, ruleset_map};
use engine::ruleset::Ruleset;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use std::collections::{BTreeMap, BTreeSet};

/// Why a ruleset was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The API server refused, or is not there.
    #[error("ConfigMap {}: {source}", ruleset_map::NAME)]
    Api {
        /// What it said.
        #[from]
        source: kube::Error,
    },
    /// What is there is no ruleset.
    #[error("ConfigMap {} holds no ruleset: {source}", ruleset_map::NAME)]
    Unusable {
        /// Why.
        #[from]
        source: ruleset_map::MapError,
    },
    /// Compression failed.
    #[error("the ruleset cannot be compressed: {0}")]
    Encode(#[from] std::io::Error),
}

/// Reads and writes the ruleset in one namespace.
#[derive(Clone)]
pub struct Publisher {
    api: Api<ConfigMap>,
    namespace: String,
}

impl Publisher {
    /// In that namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned() }
    }

    /// The ruleset that is there: the last good one, after a restart.
    ///
    /// # Errors
    /// The API server does not answer, or what is there cannot be used.
    pub async fn read(&self) -> Result<Option<Ruleset>, PublishError> {
        let Some(index) = self.api.get_opt(ruleset_map::NAME).await? else { return Ok(None) };
        let mut chunks = BTreeMap::new();
        for name in ruleset_map::chunk_names(&index)? {
            if let Some(chunk) = self.api.get_opt(&name).await? {
                chunks.insert(name, chunk);
            }
        }
        Ok(Some(ruleset_map::decode(&index, &chunks)?))
    }

    /// Writes a ruleset: chunks first, the index last; then chunks that neither it nor the one before needs go. Whether
    /// there was anything to write.
    ///
    /// # Errors
    /// The API server does not take it. What was there before stays readable.
    pub async fn write(&self, ruleset: &Ruleset) -> Result<bool, PublishError> {
        let before = self.api.get_opt(ruleset_map::NAME).await?;
        let encoded = ruleset_map::encode(ruleset, &self.namespace)?;
        for chunk in &encoded.chunks {
            // Named by content and immutable: one that is there is the right one.
            if self.api.get_metadata_opt(&chunk.name_any()).await?.is_none() {
                self.apply(chunk).await?;
            }
        }
        let unchanged = before.as_ref().is_some_and(|b| holds(b, &encoded.index));
        if unchanged {
            return Ok(false);
        }
        self.apply(&encoded.index).await?;
        let mut needed: BTreeSet<String> = encoded.chunks.iter().map(ResourceExt::name_any).collect();
        needed.extend(before.iter().flat_map(|b| ruleset_map::chunk_names(b).unwrap_or_default()));
        self.sweep(&needed).await?;
        Ok(true)
    }

    /// Whether a ConfigMap as watched holds what this ruleset would be written as.
    #[must_use]
    pub fn is_written(&self, there: &ConfigMap, ruleset: &Ruleset) -> bool {
        ruleset_map::encode(ruleset, &self.namespace).is_ok_and(|encoded| holds(there, &encoded.index))
    }

    async fn apply(&self, map: &ConfigMap) -> Result<(), PublishError> {
        let params = PatchParams::apply(OPERATOR_MANAGER).force();
        self.api.patch(&map.name_any(), &params, &Patch::Apply(map)).await?;
        Ok(())
    }

    async fn sweep(&self, needed: &BTreeSet<String>) -> Result<(), PublishError> {
        let list = ListParams::default().labels(&format!("{}=chunk", ruleset_map::LABEL));
        for chunk in self.api.list_metadata(&list).await?.items {
            let name = chunk.name_any();
            if !needed.contains(&name) {
                match self.api.delete(&name, &DeleteParams::default()).await {
                    Ok(_) => {}
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

/// Whether `there` has everything of `wanted`. More, put there by others, does no harm.
fn holds(there: &ConfigMap, wanted: &ConfigMap) -> bool {
    let data = |map: &ConfigMap| map.data.clone().unwrap_or_default();
    let there_data = data(there);
    data(wanted).iter().all(|(key, value)| there_data.get(key) == Some(value))
        && there.binary_data.clone().unwrap_or_default() == wanted.binary_data.clone().unwrap_or_default()
        && there_data.contains_key("chunks") == data(wanted).contains_key("chunks")
}
