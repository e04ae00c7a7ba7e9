//! The objects of one kind, fed by the events of one watch.
use engine::source::ObjectRef;
use std::{collections::BTreeMap, sync::Arc};

/// An object as the watch brought it.
#[derive(Clone, Debug)]
pub struct Object<K> {
    /// Namespace and name.
    pub id: ObjectRef,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`: rises with the spec, not with status.
    pub generation: i64,
    /// `metadata.creationTimestamp` in Unix seconds.
    pub created: i64,
    /// The rest.
    pub body: Body<K>,
}

/// The content of an object.
#[derive(Clone, Debug)]
pub enum Body<K> {
    /// As it should be.
    Good(Arc<K>),
    /// It does not fit the type: stored under another version of the definition.
    Unreadable(String),
}

impl<K> Object<K> {
    /// The content, where it could be read.
    #[must_use]
    pub fn good(&self) -> Option<&K> {
        match &self.body {
            Body::Good(body) => Some(body),
            Body::Unreadable(_) => None,
        }
    }
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub enum Event<K> {
    /// Added or modified.
    Apply(Object<K>),
    /// Deleted.
    Delete(ObjectRef),
    /// The watch starts (anew): a complete list follows.
    Init,
    /// One of that list.
    InitApply(Object<K>),
    /// The list is complete.
    InitDone,
}

/// All objects of one kind.
#[derive(Debug)]
pub struct Table<K> {
    items: BTreeMap<ObjectRef, Object<K>>,
    incoming: Option<BTreeMap<ObjectRef, Object<K>>>,
    synced: bool,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), incoming: None, synced: false }
    }
}

impl<K> Table<K> {
    /// Takes an event in; whether an object came, went or has another spec than before.
    pub fn apply(&mut self, event: Event<K>) -> bool {
        match event {
            Event::Apply(object) => {
                let new = (object.uid.clone(), object.generation);
                let old = self.items.insert(object.id.clone(), object);
                old.is_none_or(|old| (old.uid, old.generation) != new)
            }
            Event::Delete(id) => self.items.remove(&id).is_some(),
            Event::Init => {
                self.incoming = Some(BTreeMap::new());
                false
            }
            Event::InitApply(object) => {
                self.incoming.get_or_insert_default().insert(object.id.clone(), object);
                false
            }
            Event::InitDone => {
                let new = self.incoming.take().unwrap_or_default();
                let first = !std::mem::replace(&mut self.synced, true);
                let key = |o: &Object<K>| (o.id.clone(), o.uid.clone(), o.generation);
                let same = new.len() == self.items.len() && new.values().map(key).eq(self.items.values().map(key));
                self.items = new;
                first || !same
            }
        }
    }

    /// Whether a complete list has arrived once.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// All objects, by identity.
    pub fn iter(&self) -> impl Iterator<Item = &Object<K>> {
        self.items.values()
    }

    /// One object.
    #[must_use]
    pub fn get(&self, id: &ObjectRef) -> Option<&Object<K>> {
        self.items.get(id)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
