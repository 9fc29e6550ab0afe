//! The few elements of HTML that the page is made of. Everything is closed, as in XML.

pub use crate::svg::escape;
use crate::table::Table;

/// Words as a paragraph.
pub fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", prose(text))
}

/// What is said of something that there is nothing to show of.
pub fn absent(text: &str) -> String {
    format!("<p class=\"absent\">{}</p>\n", prose(text))
}

/// Words between backticks are code, as in Markdown; a backtick without its partner is itself.
fn prose(text: &str) -> String {
    let text = escape(text);
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return text;
    }
    let part = |(at, part): (usize, &&str)| match at % 2 {
        0 => (*part).to_owned(),
        _ => format!("<code>{part}</code>"),
    };
    parts.iter().enumerate().map(part).collect()
}

/// A heading within a section.
pub fn heading(text: &str) -> String {
    format!("<h3>{}</h3>\n", escape(text))
}

/// Items of a list; nothing if there are none.
pub fn list(items: &[String]) -> String {
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", prose(item))).collect();
    if items.is_empty() { items } else { format!("<ul>\n{items}</ul>\n") }
}

/// Something that opens under the pointer.
pub fn details(summary: &str, body: &str) -> String {
    format!("<details><summary>{}</summary>\n{body}</details>\n", escape(summary))
}

/// Figures side by side, as many as fit.
pub fn grid(figures: &str) -> String {
    format!("<div class=\"grid\">\n{figures}</div>\n")
}

/// A drawing, which is SVG already.
pub fn drawing(svg: &str) -> String {
    format!("<figure class=\"drawing\">\n{svg}</figure>\n")
}

/// A picture at an address that holds it, with words under it.
pub fn picture(class: &str, address: &str, words: &str) -> String {
    let (address, words) = (escape(address), escape(words));
    format!(
        "<figure class=\"{class}\"><img src=\"{address}\" alt=\"{words}\"/>\
         <figcaption>{words}</figcaption></figure>\n"
    )
}

/// A table of text; cells of the column `verdict` are coloured by what they say.
pub fn table(table: &Table) -> String {
    let (head, rows) = table.parts();
    let head: Vec<String> = head.iter().map(|&name| name.into()).collect();
    cells(&head, rows)
}

/// A table of text under a head; the first column names the rows.
pub fn cells(head: &[String], rows: &[Vec<String>]) -> String {
    let verdicts = head.iter().position(|name| name == "verdict");
    let names: String =
        head.iter().map(|name| format!("<th scope=\"col\">{}</th>", escape(name))).collect();
    let cell = |(column, cell): (usize, &String)| {
        let text = escape(cell);
        match column {
            0 => format!("<th scope=\"row\">{text}</th>"),
            _ if Some(column) == verdicts => {
                format!("<td class=\"verdict {}\">{text}</td>", text.replace(' ', "-"))
            }
            _ => format!("<td>{text}</td>"),
        }
    };
    let row = |row: &Vec<String>| {
        format!("<tr>{}</tr>\n", row.iter().enumerate().map(cell).collect::<String>())
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{names}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_come_in_pairs() {
        assert_eq!(prose("run `a<b` now"), "run <code>a&lt;b</code> now");
        assert_eq!(prose("`a` or `b"), "`a` or `b");
    }

    #[test]
    fn text_is_escaped_wherever_it_stands() {
        let nasty = "<b a=\"1\">&";
        let safe = "&lt;b a=&quot;1&quot;&gt;&amp;";
        let mut rows = Table::new(["network", "verdict"]);
        rows.add([nasty.into(), nasty.into()]);
        let all = [
            paragraph(nasty),
            absent(nasty),
            heading(nasty),
            list(&[nasty.into()]),
            details(nasty, ""),
            picture("image", nasty, nasty),
            table(&rows),
        ];
        for text in all {
            assert!(text.contains(safe) && !text.contains("<b"), "{text}");
        }
    }
}
