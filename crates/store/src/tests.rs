use super::*;
use serde::Deserialize;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Thing {
    size: u32,
}

fn thing(size: u32) -> Thing {
    Thing { size }
}

#[test]
fn documents_come_back_by_key_and_in_order() {
    let things = Store::in_memory().unwrap().collection::<Thing>("things");
    things.put("b", &thing(2)).unwrap();
    things.put("a", &thing(1)).unwrap();
    things.put("b", &thing(3)).unwrap();
    assert_eq!(things.list().unwrap(), vec![("a".into(), thing(1)), ("b".into(), thing(3))]);
    assert!(things.delete("a").unwrap());
    assert!(!things.delete("a").unwrap());
    assert_eq!(things.get("a").unwrap(), None);
}

#[test]
fn an_inserted_document_does_not_replace_another() {
    let things = Store::in_memory().unwrap().collection::<Thing>("things");
    assert!(things.insert("a", &thing(1)).unwrap());
    assert!(!things.insert("a", &thing(2)).unwrap());
    assert_eq!(things.get("a").unwrap(), Some(thing(1)));
}

#[test]
fn a_failed_batch_leaves_nothing() {
    let store = Store::in_memory().unwrap();
    let things = store.collection::<Thing>("things");
    let result: Result<(), Error> = store.batch(|b| {
        b.put(&things, "a", &thing(1))?;
        Err(Error::InUse { path: "x".into() })
    });
    assert!(result.is_err());
    assert_eq!(things.list().unwrap(), vec![]);
}

#[test]
fn a_database_survives_reopening_and_refuses_a_second_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lichen.db");
    let store = Store::open(&path).unwrap();
    store.collection::<Thing>("things").put("a", &thing(1)).unwrap();
    assert!(matches!(Store::open(&path), Err(Error::InUse { .. })));
    drop(store);
    assert_eq!(Store::open(&path).unwrap().collection::<Thing>("things").get("a").unwrap(), Some(thing(1)));
}

#[test]
fn a_later_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lichen.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(&path), Err(Error::Newer { found: 99, .. })));
}

#[test]
fn one_unreadable_document_does_not_hide_the_others() {
    let store = Store::in_memory().unwrap();
    store.collection::<String>("things").put("bad", &"no thing".into()).unwrap();
    let things = store.collection::<Thing>("things");
    things.put("good", &thing(1)).unwrap();
    assert!(matches!(things.list(), Err(Error::Document { .. })));
    let lossy = things.list_lossy().unwrap();
    assert!(lossy[0].1.is_err() && lossy[1].1.is_ok());
}
