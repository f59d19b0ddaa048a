//! The HTTP side of a store, on the runtime of the simulation.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::random::Random;
use super::super::store::{Act, Store};

/// Serves until the runtime ends.
pub(super) async fn serve(store: Arc<Mutex<Store>>, mut random: Random, began: Instant) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let random = Random::new(random.next(), 0);
            connections.spawn(converse(stream, Arc::clone(&store), random, began));
            while connections.try_join_next().is_some() {}
        }
    });
    address
}

async fn converse(stream: TcpStream, store: Arc<Mutex<Store>>, mut random: Random, began: Instant) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let (mut content_type, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-type") => content_type = value.to_owned(),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        if random.one_in(2) && store.lock().unwrap().resets(began.elapsed()) {
            // What is not read makes it a reset.
            return None;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        tokio::time::sleep(Duration::from_millis(random.below(40))).await;
        let act = store.lock().unwrap().judge(&path, &content_type, &body, began.elapsed());
        match act {
            Act::Answer { status, headers, body } => {
                let mut answer = format!("HTTP/1.1 {status} Status\r\n");
                headers.iter().for_each(|(name, value)| answer.push_str(&format!("{name}: {value}\r\n")));
                if status != 204 {
                    answer.push_str(&format!("Content-Length: {}\r\n", body.len()));
                }
                answer.push_str(&format!("\r\n{body}"));
                stream.write_all(answer.as_bytes()).await.ok()?;
            }
            Act::Close => return None,
            Act::Hang => {
                // Until the other side gives up.
                while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
                return None;
            }
        }
    }
}
