//! Tables as Kafka's scripts print them: columns as wide as their widest cell, at least as wide as the title.

/// A title and its cells.
pub(super) fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        let cells = rows.iter().map(|row| row[index].chars().count());
        cells.max().unwrap_or(0).max(titles[index].len())
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        format!("{}\n", padded.join(" ").trim_end())
    };
    let head = line(&mut titles.iter().copied());
    rows.iter().fold(head, |all, row| all + &line(&mut row.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["billing-service".to_owned(), "7".to_owned()]];
        assert_eq!(super::table(&["GROUP", "LAG"], &rows), "GROUP           LAG\nbilling-service 7\n");
    }
}
