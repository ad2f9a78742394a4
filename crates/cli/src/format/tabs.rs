//! Columns aligned as by Go's text/tabwriter: a column is a run of adjacent lines that have a tab-terminated cell at
//! the same place, and is as wide as its widest cell plus padding.

pub struct Tabs {
    pub min_width: usize,
    pub padding: usize,
}

impl Tabs {
    pub fn align(&self, text: &str) -> String {
        let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
        let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
        let deepest = widths.iter().map(Vec::len).max().unwrap_or(0);
        for column in 0..deepest {
            self.measure(&lines, &mut widths, column);
        }
        let mut out = String::with_capacity(text.len() * 2);
        for (i, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
            if i > 0 {
                out.push('\n');
            }
            for (at, cell) in cells.iter().enumerate() {
                out.push_str(cell);
                let pad = widths.get(at).map_or(0, |width| width.saturating_sub(cell.chars().count()));
                out.extend(std::iter::repeat_n(' ', pad));
            }
        }
        out
    }

    /// Sets the width of `column` in each block of adjacent lines that have it.
    fn measure(&self, lines: &[Vec<&str>], widths: &mut [Vec<usize>], column: usize) {
        let mut line = 0;
        while line < lines.len() {
            let block = widths[line..].iter().take_while(|cells| cells.len() > column).count();
            let cells = &lines[line..line + block];
            let widest =
                cells.iter().map(|cells| cells[column].chars().count() + self.padding).max().unwrap_or(0);
            for row in &mut widths[line..line + block] {
                row[column] = widest.max(self.min_width);
            }
            line += block.max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tabs;

    #[test]
    fn columns_and_blocks() {
        let tabs = Tabs { min_width: 5, padding: 2 };
        assert_eq!(tabs.align("a\tbbbb\tc\nlonger\tb\tc\n"), "a       bbbb  c\nlonger  b     c\n");
        assert_eq!(tabs.align("a\tb\n\naaaaaa\tb\n"), "a    b\n\naaaaaa  b\n");
        assert_eq!(tabs.align("é\tb\n"), "é    b\n");
    }
}
