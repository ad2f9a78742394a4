//! Capabilities of the calling thread, by number (capabilities(7)).

use crate::{Error, Result};
use rustix::thread::{self, CapabilitySet, CapabilitySets};

/// A set of capabilities as a bit mask; bit N is capability number N.
pub type Mask = u64;

/// The highest capability number this kernel knows: the bounding set answers EINVAL above it.
pub fn last() -> u32 {
    (0..64).take_while(|n| thread::capability_is_in_bounding_set(bit(*n)).is_ok()).last().unwrap_or(0)
}

fn bit(number: u32) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1 << number)
}

/// Removes from the bounding set whatever is not in `keep`, up to capability number `last`.
pub fn limit_bounding(keep: Mask, last: u32) -> Result<()> {
    for number in (0..=last).filter(|n| keep & (1 << n) == 0) {
        thread::remove_capability_from_bounding_set(bit(number))
            .map_err(Error::of("prctl", format!("PR_CAPBSET_DROP, {number}")))?;
    }
    Ok(())
}

/// The calling thread's sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sets {
    pub effective: Mask,
    pub permitted: Mask,
    pub inheritable: Mask,
}

pub fn get() -> Result<Sets> {
    let sets = thread::capabilities(None).map_err(Error::of("capget", ""))?;
    Ok(Sets {
        effective: sets.effective.bits(),
        permitted: sets.permitted.bits(),
        inheritable: sets.inheritable.bits(),
    })
}

pub fn set(sets: Sets) -> Result<()> {
    let raw = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(sets.effective),
        permitted: CapabilitySet::from_bits_retain(sets.permitted),
        inheritable: CapabilitySet::from_bits_retain(sets.inheritable),
    };
    thread::set_capabilities(None, raw).map_err(Error::of("capset", format!("{sets:x?}")))
}

/// Empties the ambient set and fills it with `ambient`, each of which must be permitted and inheritable.
pub fn set_ambient(ambient: Mask, last: u32) -> Result<()> {
    thread::clear_ambient_capability_set().map_err(Error::of("prctl", "PR_CAP_AMBIENT_CLEAR_ALL"))?;
    for number in (0..=last).filter(|n| ambient & (1 << n) != 0) {
        thread::configure_capability_in_ambient_set(bit(number), true)
            .map_err(Error::of("prctl", format!("PR_CAP_AMBIENT_RAISE, {number}")))?;
    }
    Ok(())
}

/// Whether permitted capabilities survive the change from user 0 to another (`PR_SET_KEEPCAPS`).
pub fn keep_over_setuid(keep: bool) -> Result<()> {
    thread::set_keep_capabilities(keep).map_err(Error::of("prctl", "PR_SET_KEEPCAPS"))
}
