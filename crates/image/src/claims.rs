//! Exclusive claims on layers: whoever makes or removes a layer holds its claim, so that the same layer is fetched once
//! however many pulls want it, and is never removed while it is being made.

use model::Digest;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

type Lock = Arc<AsyncMutex<()>>;

/// The claims of one store.
#[derive(Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<HashMap<Digest, Lock>>>);

/// A claim; dropping it lets the next one in.
pub(crate) struct Claim {
    claims: Claims,
    key: Digest,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Claims {
    fn map(&self) -> MutexGuard<'_, HashMap<Digest, Lock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody holds or wants any.
    #[cfg(test)]
    pub fn are_free(&self) -> bool {
        self.map().is_empty()
    }

    fn lock_of(&self, key: &Digest) -> Lock {
        self.map().entry(key.clone()).or_default().clone()
    }

    fn claim(&self, key: &Digest, guard: OwnedMutexGuard<()>) -> Claim {
        Claim { claims: self.clone(), key: key.clone(), guard: Some(guard) }
    }

    /// Waits until nobody else holds the claim.
    pub async fn take(&self, key: &Digest) -> Claim {
        let guard = self.lock_of(key).lock_owned().await;
        self.claim(key, guard)
    }

    /// The claim, unless somebody holds it.
    pub fn try_take(&self, key: &Digest) -> Option<Claim> {
        let guard = self.lock_of(key).try_lock_owned().ok()?;
        Some(self.claim(key, guard))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut map = self.claims.map();
        self.guard = None;
        // Forget locks that nobody waits for: the map's is then the only reference.
        if map.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            map.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::digest_of;

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let (claims, key) = (Claims::default(), digest_of(b"x"));
        let first = claims.take(&key).await;
        assert!(claims.try_take(&key).is_none());
        let other = tokio::spawn({
            let (claims, key) = (claims.clone(), key.clone());
            async move { drop(claims.take(&key).await) }
        });
        tokio::task::yield_now().await;
        assert!(!other.is_finished());
        drop(first);
        other.await.unwrap();
        assert!(claims.map().is_empty());
    }
}
