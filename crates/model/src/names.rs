//! Made-up container names, `adjective_noun`, for containers that were given none.

use rand::{TryRngCore, rngs::OsRng};

const LEFT: &[&str] = &[
    "airy", "amber", "ample", "bold", "brave", "brisk", "calm", "candid", "clear", "clever", "cosy", "crisp",
    "curious", "dapper", "deft", "eager", "earnest", "fair", "fleet", "fond", "frank", "gentle", "glad",
    "graceful", "hardy", "honest", "humble", "jolly", "keen", "kind", "light", "lively", "lucid", "mellow",
    "merry", "mild", "modest", "neat", "nimble", "noble", "patient", "placid", "plucky", "polite", "proud",
    "quick", "quiet", "ready", "serene", "sharp", "silent", "sleek", "smooth", "sober", "spry", "steady",
    "stout", "sunny", "supple", "swift", "tidy", "tranquil", "upbeat", "vivid", "warm", "wise", "witty",
    "zesty",
];

/// Lichens, mosses, and those who studied them.
const RIGHT: &[&str] = &[
    "acharius",
    "alectoria",
    "arthonia",
    "aspicilia",
    "bryoria",
    "buellia",
    "caloplaca",
    "candelaria",
    "cetraria",
    "cladina",
    "cladonia",
    "collema",
    "dermatocarpon",
    "dicranum",
    "evernia",
    "flavoparmelia",
    "graphis",
    "hypnum",
    "hypogymnia",
    "icmadophila",
    "knudsen",
    "lasallia",
    "lecanora",
    "lecidea",
    "lepraria",
    "leptogium",
    "letharia",
    "lobaria",
    "mnium",
    "nephroma",
    "nylander",
    "ochrolechia",
    "opegrapha",
    "parmelia",
    "peltigera",
    "pertusaria",
    "physcia",
    "placopsis",
    "platismatia",
    "polytrichum",
    "porpidia",
    "potter",
    "pyxine",
    "ramalina",
    "rhizocarpon",
    "schwendener",
    "solorina",
    "sphagnum",
    "stereocaulon",
    "sticta",
    "teloschistes",
    "thamnolia",
    "thelotrema",
    "tuckerman",
    "umbilicaria",
    "usnea",
    "verrucaria",
    "vulpicida",
    "wahlenberg",
    "xanthoria",
    "zahlbruckner",
];

/// A random name. From the `attempt`th clash on, a digit is appended, as Docker does.
pub fn random(attempt: u32) -> String {
    let pick = |words: &[&'static str]| words[(OsRng.try_next_u32().unwrap_or(0) as usize) % words.len()];
    let base = format!("{}_{}", pick(LEFT), pick(RIGHT));
    if attempt < 5 { base } else { format!("{base}{}", OsRng.try_next_u32().unwrap_or(0) % 10) }
}
