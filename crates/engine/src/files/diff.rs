//! `docker diff`

use crate::{Engine, Error, blocking};
use api_types::FilesystemChange;
use archive::{Change, ChangeKind};
use std::{path::Path, sync::Arc};

/// What the runtime mounts on in every container, and makes where the image has it not. Docker keeps these in a layer
/// of their own between image and container (`daemon/initlayer`), so that no comparison shows them.
const MOUNT_POINTS: &[&str] = &["/dev", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/proc", "/sys"];

/// What differs between a container's tree and its image, by path.
pub async fn changes(engine: &Arc<Engine>, reference: &str) -> Result<Vec<FilesystemChange>, Error> {
    let container = engine.containers.find(reference)?;
    let engine = engine.clone();
    let changes = blocking("compare container", move || engine.snapshots.changes(container.id())).await??;
    let changes = without_mount_points(changes);
    let wire = |change: Change| FilesystemChange {
        kind: change.kind as u8,
        path: change.path.to_string_lossy().into_owned(),
    };
    Ok(changes.into_iter().map(wire).collect())
}

/// Leaves out mount points that were made, and directories that changed only by that.
fn without_mount_points(changes: Vec<Change>) -> Vec<Change> {
    let is_made = |change: &Change| {
        change.kind == ChangeKind::Added && MOUNT_POINTS.iter().any(|point| change.path.starts_with(point))
    };
    let (made, rest): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_made);
    let changed_by = |directory: &Path, changes: &[Change]| {
        changes.iter().any(|change| change.path != directory && change.path.starts_with(directory))
    };
    let is_shown = |change: &&Change| {
        change.kind != ChangeKind::Modified
            || !changed_by(&change.path, &made)
            || changed_by(&change.path, &rest)
    };
    rest.iter().filter(is_shown).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(changes: &[&str], expect: &[&str]) {
        let parse = |text: &&str| Change {
            path: text[2..].into(),
            kind: match &text[..1] {
                "A" => ChangeKind::Added,
                "C" => ChangeKind::Modified,
                _ => ChangeKind::Deleted,
            },
        };
        let found = without_mount_points(changes.iter().map(parse).collect());
        let found: Vec<_> =
            found.iter().map(|c| format!("{} {}", c.kind.letter(), c.path.display())).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn what_the_runtime_made_is_not_shown() {
        check(&["A /dev", "C /etc", "A /etc/hosts", "A /proc", "A /sys", "A /test"], &["A /test"]);
        check(&["C /etc", "A /etc/hosts", "A /etc/mine"], &["C /etc", "A /etc/mine"]);
        check(&["C /etc", "C /etc/hosts", "D /sys"], &["C /etc", "C /etc/hosts", "D /sys"]);
        check(&["C /var", "C /var/log"], &["C /var", "C /var/log"]);
    }
}
