//! Any text parses as a reference or is refused, and what parses is stable in both of its written forms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reference::Reference;

fuzz_target!(|text: &str| {
    if let Ok(reference) = Reference::parse(text) {
        assert_eq!(Reference::parse(&reference.to_string()).as_ref(), Ok(&reference));
        assert_eq!(Reference::parse(&reference.familiar()).as_ref(), Ok(&reference));
        let tagged = reference.or_latest();
        assert!(tagged.tag().is_some() || tagged.digest().is_some());
    }
});
