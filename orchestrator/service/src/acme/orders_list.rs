//! The list of an account's orders (RFC 8555 §7.1.2.1), where a CA keeps one.

use serde::Deserialize;

use super::account::Account;
use super::endpoint::Endpoint;
use super::error::AcmeError;

/// More pages are not followed: a list without end is a fault of the CA.
const PAGES_MAX: usize = 200;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    orders: Option<Vec<Box<str>>>,
}

/// An account's orders, in the CA's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdersList {
    pub urls: Vec<Box<str>>,
    /// Whether the list was read to its end: only then does a missing order not exist.
    pub complete: bool,
}

impl Account {
    /// Where this CA lists the account's orders; asked once, and `None` where it does not.
    pub async fn orders_url(&self) -> Result<Option<&str>, AcmeError> {
        let probe = || async { Ok::<_, AcmeError>(self.account_status().await?.body.orders) };
        Ok(self.orders_url.get_or_try_init(probe).await?.as_deref())
    }

    /// All orders of the account, page after page; `None` where the CA keeps no list.
    pub async fn orders(&self) -> Result<Option<OrdersList>, AcmeError> {
        let Some(first) = self.orders_url().await? else { return Ok(None) };
        let mut list = OrdersList { urls: Vec::new(), complete: false };
        let mut next = Some(Box::<str>::from(first));
        for _ in 0..PAGES_MAX {
            let Some(url) = next.take() else {
                list.complete = true;
                break;
            };
            let answer = self.get(Endpoint::Orders, &url).await?;
            list.urls.extend(answer.json::<Page>()?.orders.unwrap_or_default());
            next = answer.links("next").into_iter().next();
        }
        let origin = self.authority().http().origin();
        list.urls.retain(|url| origin.admit(url).is_ok());
        Ok(Some(list))
    }
}
