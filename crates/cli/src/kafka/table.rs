//! Tables as Kafka's scripts print them: each column as wide as its widest cell, and at least as wide as Kafka makes it.

/// Titles with the least widths, and the cells.
pub(super) fn table(titles: &[(&str, usize)], rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        let cells = rows.iter().map(|row| row[index].chars().count());
        cells.max().unwrap_or(0).max(titles[index].1)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        format!("{}\n", padded.join(" ").trim_end())
    };
    let head = line(&mut titles.iter().map(|(title, _)| *title));
    rows.iter().fold(head, |all, row| all + &line(&mut row.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_as_kafkas() {
        let rows = [vec!["billing".to_owned(), "audit-of-everything".to_owned(), "7".to_owned()]];
        assert_eq!(
            super::table(&[("GROUP", 15), ("TOPIC", 15), ("LAG", 15)], &rows),
            "GROUP           TOPIC               LAG\nbilling         audit-of-everything 7\n"
        );
    }
}
