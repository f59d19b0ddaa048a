//! Many clients, slow ones, and such as send what nobody should: each gets the right status, and the others are unharmed.

use super::*;

const HEAD: &str = "POST /v1/metrics HTTP/1.1\r\nContent-Type: application/x-protobuf";

#[tokio::test]
async fn oversized_bodies_are_refused_before_and_after_decompression() {
    let yaml = "protocols: {http: {endpoint: '127.0.0.1:0', max_request_body_size: 100000}}";
    let mut running = Running::start(yaml).await;
    let bomb = net::decode::gzip_compress(&vec![0; 50 << 20], 6);
    for (head, body) in [(HEAD.to_owned(), vec![0; 200_000]), (format!("{HEAD}\r\nContent-Encoding: gzip"), bomb)] {
        let (status, head, body) = running.send(&head, &body).await;
        assert_eq!(status, 413);
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        assert!(!otlp::response::Status::from_protobuf(&body).message.is_empty());
    }
    assert_eq!(running.send(HEAD, &protobuf(Signal::Metrics)).await.0, 200);
    assert_eq!(running.input.recv().await.unwrap().len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up_and_others_are_served_meanwhile() {
    let running = Running::start(BOTH).await;
    let mut slow = TcpStream::connect(running.http.unwrap()).await.unwrap();
    slow.write_all(format!("{HEAD}\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc").as_bytes()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(running.send(HEAD, &protobuf(Signal::Metrics)).await.0, 200);
    }
    tokio::time::pause();
    let (status, head, body) = answer(slow).await;
    assert_eq!(status, 408, "{head}");
    let message = otlp::response::Status::from_protobuf(&body).message;
    assert_eq!(message, "nothing of the request body came for 60s");
    tokio::time::resume();
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_harms_nobody() {
    let mut running = Running::start(BOTH).await;
    for len in [0, 10, 100] {
        let mut leaving = TcpStream::connect(running.http.unwrap()).await.unwrap();
        let head = format!("{HEAD}\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(len));
        leaving.write_all(head.as_bytes()).await.unwrap();
        drop(leaving);
        let mut noise = TcpStream::connect(running.grpc.unwrap()).await.unwrap();
        noise.write_all(&vec![b'x'; len]).await.unwrap();
        drop(noise);
    }
    assert_eq!(running.send(HEAD, &protobuf(Signal::Metrics)).await.0, 200);
    assert_eq!(running.input.recv().await.unwrap().len(), 2);
    running.stop().await;
}
