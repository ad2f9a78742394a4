//! What the program can do besides being a client: the daemon, the set-up tool. Described here, run elsewhere.

#[derive(Debug, Clone)]
pub struct Part {
    pub name: &'static str,
    /// Whether it is a command; a file that commands read only has a manual page.
    pub command: bool,
    pub about: &'static str,
    /// What follows the name in the usage line.
    pub usage: &'static str,
    /// Paragraphs for the manual page, separated by empty lines.
    pub description: &'static str,
    /// The section of the manual.
    pub section: &'static str,
    /// Verbs, each with what it does.
    pub words: &'static [(&'static str, &'static str)],
    /// Options, or what a file may hold.
    pub flags: Vec<PartFlag>,
}

#[derive(Debug, Clone)]
pub struct PartFlag {
    pub name: &'static str,
    pub short: Option<char>,
    /// The word that stands for the value; none for a switch.
    pub value: Option<&'static str>,
    pub about: String,
}
