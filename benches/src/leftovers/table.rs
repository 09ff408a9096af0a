//! All cells, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::accident::Accident;
use super::cell::{Cell, Outcome};
use super::client::Client;
use super::manners::Manners;
use super::run::Job;

#[derive(Debug)]
pub struct Table {
    orders: usize,
    names: BTreeMap<Client, String>,
    left: BTreeMap<(Accident, Client), Cell>,
    again: BTreeMap<(Accident, Manners, Client), Cell>,
}

impl Table {
    pub fn new(orders: usize) -> Self {
        Self { orders, names: BTreeMap::new(), left: BTreeMap::new(), again: BTreeMap::new() }
    }

    /// The head of a column.
    pub fn names(&mut self, client: Client, name: String) {
        self.names.insert(client, name);
    }

    /// Of two CAs at which a client meets the same accident, the first row shows Boulder's: they differ afterwards.
    pub fn enter(&mut self, job: &Job, outcome: Outcome) {
        let Job { client, accident, manners, .. } = *job;
        if manners == Manners::Boulder {
            self.left.insert((accident, client), outcome.left);
        }
        if let Some(again) = outcome.again {
            self.again.insert((accident, manners, client), again);
        }
    }

    /// Rows of which there is a cell.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| |");
        for name in self.names.values() {
            let _ = write!(text, " {name} |");
        }
        text.push_str("\n| --- |");
        text.push_str(&" --- |".repeat(self.names.len()));
        text.push('\n');
        for accident in Accident::ALL {
            self.row(&mut text, accident.title(), |client| self.left.get(&(accident, client)));
            for manners in Manners::ALL {
                let again = |client| self.again.get(&(accident, manners, client));
                self.row(&mut text, manners.title(), again);
            }
        }
        text
    }

    fn row<'a>(&self, text: &mut String, title: &str, cell: impl Fn(Client) -> Option<&'a Cell>) {
        if self.names.keys().all(|client| cell(*client).is_none()) {
            return;
        }
        let _ = write!(text, "| {title} |");
        for client in self.names.keys() {
            let shown = cell(*client).map_or_else(|| "–".to_owned(), |cell| cell.markdown(self.orders));
            let _ = write!(text, " {shown} |");
        }
        text.push('\n');
    }

    /// Accident → client → cells by what was done: `left`, and `boulder` and `plain` after it was run again.
    pub fn json(&self) -> Value {
        let mut rows = json!({});
        for ((accident, client), cell) in &self.left {
            rows[accident.as_str()][client.as_str()]["left"] = json!(cell);
        }
        for ((accident, manners, client), cell) in &self.again {
            rows[accident.as_str()][client.as_str()][manners.as_str()] = json!(cell);
        }
        json!({ "orders": self.orders, "names_each": 2, "leftovers": rows })
    }
}

#[cfg(test)]
mod tests {
    use super::super::accident::Moment;
    use super::*;

    #[test]
    fn a_cell_that_is_not_there_is_a_dash_and_a_row_without_cells_is_none() {
        let mut table = Table::new(5);
        table.names(Client::Certbot, "certbot 2.1.0".to_owned());
        table.names(Client::Lockkeeper, "Lockkeeper".to_owned());
        let accident = Accident::Killed(Moment::BeforeChallenge);
        let left = Cell { open: 10, created: 10, failed: 0, certificates: 0 };
        let again = Some(Cell { open: 0, created: 20, failed: 10, certificates: 7 });
        let job = Job { client: Client::Certbot, accident, manners: Manners::Plain, orders: 5 };
        table.enter(&Job { manners: Manners::Boulder, ..job }, Outcome { left, again: None });
        table.enter(&job, Outcome { left, again });
        assert_eq!(
            table.markdown(),
            "| | certbot 2.1.0 | Lockkeeper |\n| --- | --- | --- |\n\
             | killed after new-order, before a challenge is accepted | **10** / 10 | – |\n\
             | … and run again, at a CA that does not | 0 / 20, 10 failed, 2 certified twice | – |\n"
        );
        let json = table.json();
        assert_eq!(json["leftovers"]["killed_before_challenge"]["certbot"]["plain"]["failed"], 10);
    }
}
