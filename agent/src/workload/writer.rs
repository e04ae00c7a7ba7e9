//! The one writer of an [`Index`]: pure, fed by the pod watch.
use super::{
    LOOKUP_GRACE_SECONDS, MAX_PODS,
    convert::{NoIdentity, pod_meta},
    index::Index,
    model::PodMeta,
};
use k8s_openapi::api::core::v1::Pod;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// What an applied object changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// New to us, changed, or back after it was gone.
    Visible,
    /// Nothing that we keep.
    None,
    /// Not kept: [`MAX_PODS`] are known already.
    Refused,
}

struct Known {
    meta: Arc<PodMeta>,
    /// Unix seconds at which the API told that the pod is gone.
    gone_at: Option<i64>,
}

/// State of the pod watch. All times are Unix seconds.
pub struct Writer {
    index: Index,
    pods: HashMap<String, Known>,
    /// UIDs seen since the current list began; `None` outside a list.
    listed: Option<HashSet<String>>,
    refused: u64,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A writer with an empty index that is not synced.
    #[must_use]
    pub fn new() -> Self {
        Self { index: Index::unsynced(), pods: HashMap::new(), listed: None, refused: 0 }
    }

    /// The readers' side.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index.clone()
    }

    /// Pods that were not kept because of [`MAX_PODS`], since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// A pod was added or changed, or is part of a list.
    ///
    /// # Errors
    /// [`NoIdentity`]: the object is ignored.
    pub fn apply(&mut self, pod: &Pod) -> Result<Change, NoIdentity> {
        let mut meta = pod_meta(pod)?;
        if let Some(listed) = &mut self.listed {
            listed.insert(meta.uid.clone());
        }
        let full = self.pods.len() >= MAX_PODS;
        match self.pods.get_mut(&meta.uid) {
            Some(known) => {
                keep_ids(&mut meta, &known.meta);
                known.gone_at = None;
                if *known.meta == meta {
                    return Ok(Change::None);
                }
                let old = std::mem::replace(&mut known.meta, Arc::new(meta));
                self.index.publish(&known.meta, Some(&old));
            }
            None if full => {
                self.refused += 1;
                return Ok(Change::Refused);
            }
            None => {
                let meta = Arc::new(meta);
                self.index.publish(&meta, None);
                self.pods.insert(meta.uid.clone(), Known { meta, gone_at: None });
            }
        }
        Ok(Change::Visible)
    }

    /// A pod is gone from the API. Returns its UID when it was known and alive.
    pub fn delete(&mut self, pod: &Pod, now: i64) -> Option<String> {
        let uid = pod.metadata.uid.as_ref()?;
        let known = self.pods.get_mut(uid).filter(|known| known.gone_at.is_none())?;
        known.gone_at = Some(now);
        Some(uid.clone())
    }

    /// A list begins (first start, or the watch was lost): pods follow by [`Writer::apply`]. What is known stays in sight.
    pub fn begin_list(&mut self) {
        self.listed = Some(HashSet::new());
    }

    /// The list is whole. Returns the UIDs of pods that it no longer had: they are gone.
    pub fn end_list(&mut self, now: i64) -> Vec<String> {
        let Some(listed) = self.listed.take() else { return Vec::new() };
        let mut gone = Vec::new();
        for (uid, known) in &mut self.pods {
            if known.gone_at.is_none() && !listed.contains(uid) {
                known.gone_at = Some(now);
                gone.push(uid.clone());
            }
        }
        self.index.set_synced();
        gone
    }

    /// Forgets pods that are gone for longer than the grace time. Call now and then.
    pub fn sweep(&mut self, now: i64) {
        let index = &self.index;
        self.pods.retain(|_, known| {
            let keep = known.gone_at.is_none_or(|at| now.saturating_sub(at) < LOOKUP_GRACE_SECONDS);
            if !keep {
                index.withdraw(&known.meta);
            }
            keep
        });
    }

    /// UIDs of the pods that are alive.
    #[must_use]
    pub fn alive(&self) -> HashSet<String> {
        self.pods.iter().filter(|(_, known)| known.gone_at.is_none()).map(|(uid, _)| uid.clone()).collect()
    }
}

/// The id of an instance that has just been replaced stays findable, also where `lastState` does not tell it (yet).
fn keep_ids(new: &mut PodMeta, old: &PodMeta) {
    for container in &mut new.containers {
        let Some(before) = old.container(&container.name).filter(|before| before.kind == container.kind) else {
            continue;
        };
        if container.id.is_none() {
            container.id.clone_from(&before.id);
        } else if container.previous_id.is_none() {
            container.previous_id =
                if before.id == container.id { before.previous_id.clone() } else { before.id.clone() };
        }
    }
}
