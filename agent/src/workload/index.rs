//! The readers' side: shards of immutable maps, swapped whole.
use super::model::PodMeta;
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Shards a map is split into: with 250 pods a change copies the four or so entries that share its shard.
const SHARDS: usize = 64;

type Shard<V> = ArcSwap<HashMap<Arc<str>, V>>;

/// One map in shards. Written by one writer, read by anybody without a lock.
struct Sharded<V> {
    shards: Box<[Shard<V>]>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl<V: Clone> Sharded<V> {
    fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), hasher: BuildHasherDefault::default() }
    }

    fn shard(&self, key: &str) -> &Shard<V> {
        // The remainder fits: it is under SHARDS. The index is in bounds for the same reason.
        #[expect(clippy::cast_possible_truncation, reason = "a remainder under 64")]
        let index = (self.hasher.hash_one(key) % SHARDS as u64) as usize;
        &self.shards[index]
    }

    fn get(&self, key: &str) -> Option<V> {
        self.shard(key).load().get(key).cloned()
    }

    fn insert(&self, key: &str, value: V) {
        let shard = self.shard(key);
        let mut map = HashMap::clone(&shard.load());
        map.insert(key.into(), value);
        shard.store(Arc::new(map));
    }

    fn remove(&self, key: &str) {
        let shard = self.shard(key);
        if shard.load().contains_key(key) {
            let mut map = HashMap::clone(&shard.load());
            map.remove(key);
            shard.store(Arc::new(map));
        }
    }
}

struct Shared {
    by_uid: Sharded<Arc<PodMeta>>,
    by_container: Sharded<(Arc<PodMeta>, usize)>,
    version: AtomicU64,
    synced: AtomicBool,
}

/// Pods of this node by UID and by container. Cheap to clone; reads are lock-free and never wait for the writer.
#[derive(Clone)]
pub struct Index(Arc<Shared>);

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("version", &self.version()).field("synced", &self.synced()).finish()
    }
}

impl Index {
    /// An index that nothing feeds: empty and synced, so that what it does not know is missing and not pending.
    #[must_use]
    pub fn standalone() -> Self {
        let index = Self::unsynced();
        index.set_synced();
        index
    }

    /// An index before its first list. A [`super::Writer`] makes it.
    pub(super) fn unsynced() -> Self {
        Self(Arc::new(Shared {
            by_uid: Sharded::new(),
            by_container: Sharded::new(),
            version: AtomicU64::new(0),
            synced: AtomicBool::new(false),
        }))
    }

    /// The pod with this UID, as the API or the cgroup of a static pod has it.
    #[must_use]
    pub fn by_pod_uid(&self, uid: &str) -> Option<Arc<PodMeta>> {
        self.0.by_uid.get(uid)
    }

    /// The pod that has this container (full runtime id, no scheme), and the container's index in `containers`.
    #[must_use]
    pub fn by_container(&self, id: &str) -> Option<(Arc<PodMeta>, usize)> {
        self.0.by_container.get(id)
    }

    /// Rises with each visible change: an event that waits for its pod looks again only then.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// True once the first list of pods is in (at once, standalone). Stays true while the API is away.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.0.synced.load(Ordering::Acquire)
    }

    pub(super) fn set_synced(&self) {
        self.0.synced.store(true, Ordering::Release);
        self.bump();
    }

    /// Makes a pod visible, and no longer the containers that only its `old` version had.
    pub(super) fn publish(&self, new: &Arc<PodMeta>, old: Option<&PodMeta>) {
        for uid in uids(new) {
            self.0.by_uid.insert(uid, Arc::clone(new));
        }
        for (id, position) in container_ids(new) {
            self.0.by_container.insert(id, (Arc::clone(new), position));
        }
        for (id, _) in old.into_iter().flat_map(container_ids) {
            if !container_ids(new).any(|(kept, _)| kept == id) {
                self.0.by_container.remove(id);
            }
        }
        self.bump();
    }

    /// Takes a pod out of sight.
    pub(super) fn withdraw(&self, pod: &PodMeta) {
        for (id, _) in container_ids(pod) {
            self.0.by_container.remove(id);
        }
        for uid in uids(pod) {
            self.0.by_uid.remove(uid);
        }
        self.bump();
    }

    fn bump(&self) {
        self.0.version.fetch_add(1, Ordering::AcqRel);
    }
}

/// Both UIDs that a pod is found by.
fn uids(pod: &PodMeta) -> impl Iterator<Item = &str> {
    std::iter::once(pod.uid.as_str()).chain(pod.config_hash.as_deref())
}

/// Every container id of a pod with the container's position: previous instances first, so that a current id wins.
fn container_ids(pod: &PodMeta) -> impl Iterator<Item = (&str, usize)> {
    let all = || pod.containers.iter().enumerate();
    let previous = all().filter_map(|(at, c)| Some((c.previous_id.as_deref()?, at)));
    previous.chain(all().filter_map(|(at, c)| Some((c.id.as_deref()?, at))))
}
