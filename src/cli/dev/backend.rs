//! The sample backend: a pizza shop in memory, served on a port of its own, like a backend that Portcullis stands in
//! front of. It keeps nothing, checks no token, and is reachable on a loopback address alone.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis_http::server::{Limits, serve};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Orders that the shop remembers; the oldest goes first.
const ORDERS_MAX: usize = 1_000;
/// Bytes of a body that is echoed.
const BODY_BYTES_MAX: usize = 16 << 20;

/// The menu: name, description, price.
const MENU: [(&str, &str, f64); 5] = [
    ("Marinara", "Tomato, garlic, oregano, no cheese", 8.5),
    ("Margherita", "Tomato, mozzarella, basil", 9.9),
    ("Four Seasons", "Artichoke, ham, mushroom, olive, a quarter each", 12.4),
    ("Gatekeeper", "Smoked cheese, leek, one anchovy per authorised guest", 13.0),
    ("Raft", "Three toppings, of which any two must agree", 13.3),
];

#[derive(Clone, Debug, Serialize, Deserialize)]
struct NewOrder {
    pizza: String,
    quantity: u32,
    #[serde(default)]
    address: String,
}

#[derive(Clone, Debug, Serialize)]
struct Order {
    id: u64,
    state: &'static str,
    #[serde(flatten)]
    what: NewOrder,
}

#[derive(Debug, Default)]
struct Book {
    last_id: u64,
    orders: BTreeMap<u64, Order>,
}

type Shop = Arc<Mutex<Book>>;

/// Starts the backend on a free port of `address`, and returns where it is. It runs until `stop` is true.
///
/// # Errors
/// Where no port can be had.
pub async fn start(address: IpAddr, stop: watch::Receiver<bool>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((address, 0)).await?;
    let at = listener.local_addr()?;
    tokio::spawn(serve(listener, None, routes(), stop, Limits::default()));
    Ok(at)
}

fn routes() -> Router {
    Router::new()
        .route("/menu", get(menu))
        .route("/order", post(place))
        .route("/order/{id}", get(show).put(change).delete(cancel))
        .route("/echo", post(echo))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Shop::default())
}

async fn menu() -> Response {
    let pizzas =
        MENU.map(|(name, description, price)| json!({"name": name, "description": description, "price": price}));
    Json(pizzas).into_response()
}

async fn echo(headers: HeaderMap, body: Bytes) -> Response {
    let kind = headers.get(axum::http::header::CONTENT_TYPE).cloned();
    let mut response = body.into_response();
    response.headers_mut().extend(kind.map(|kind| (axum::http::header::CONTENT_TYPE, kind)));
    response
}

async fn place(State(shop): State<Shop>, Json(what): Json<NewOrder>) -> Response {
    if let Err(reason) = what.check() {
        return fault(StatusCode::BAD_REQUEST, &reason);
    }
    let mut book = shop.lock().unwrap_or_else(PoisonError::into_inner);
    book.last_id += 1;
    let order = Order { id: book.last_id, state: "taken", what };
    book.orders.insert(order.id, order.clone());
    if book.orders.len() > ORDERS_MAX {
        book.orders.pop_first();
    }
    (StatusCode::CREATED, [(LOCATION, format!("order/{}", order.id))], Json(order)).into_response()
}

async fn show(State(shop): State<Shop>, Path(id): Path<u64>) -> Response {
    match shop.lock().unwrap_or_else(PoisonError::into_inner).orders.get(&id) {
        Some(order) => Json(order).into_response(),
        None => no_such_order(id),
    }
}

async fn change(State(shop): State<Shop>, Path(id): Path<u64>, Json(what): Json<NewOrder>) -> Response {
    if let Err(reason) = what.check() {
        return fault(StatusCode::BAD_REQUEST, &reason);
    }
    match shop.lock().unwrap_or_else(PoisonError::into_inner).orders.get_mut(&id) {
        Some(order) => {
            order.what = what;
            Json(&*order).into_response()
        }
        None => no_such_order(id),
    }
}

async fn cancel(State(shop): State<Shop>, Path(id): Path<u64>) -> Response {
    match shop.lock().unwrap_or_else(PoisonError::into_inner).orders.remove(&id) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => no_such_order(id),
    }
}

fn no_such_order(id: u64) -> Response {
    fault(StatusCode::NOT_FOUND, &format!("there is no order {id}"))
}

fn fault(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({"error": reason}))).into_response()
}

impl NewOrder {
    fn check(&self) -> Result<(), String> {
        if !MENU.iter().any(|(name, ..)| *name == self.pizza) {
            return Err(format!("there is no pizza {:?} on the menu", self.pizza.chars().take(40).collect::<String>()));
        }
        if !(1..=50).contains(&self.quantity) {
            return Err("quantity: 1 to 50".to_owned());
        }
        if self.address.chars().count() > 200 {
            return Err("address: at most 200 characters".to_owned());
        }
        Ok(())
    }
}
