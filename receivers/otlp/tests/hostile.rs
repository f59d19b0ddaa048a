//! Many clients, slow ones, and such as send what nobody should: each gets the right status, and the others are unharmed.

use super::over_grpc::SERVICES;
use super::*;
use proptest::prelude::*;

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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Whatever is sent, noise or a request with some bytes changed, there is an answer over both protocols, and the receiver goes on.
    #[test]
    fn any_bytes_get_a_status(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        at in 0..3usize,
        framed in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut running = Running::start(BOTH).await;
            let ((signal, path), (_, service)) = (PATHS[at], SERVICES[at]);
            for (content_type, body) in
                [("application/x-protobuf", protobuf(signal)), ("application/json", json(signal).as_bytes().to_vec())]
            {
                let mut damaged = body.clone();
                for (place, byte) in &damage {
                    damaged[place.index(body.len())] = *byte;
                }
                damaged.truncate(cut.index(body.len()) + 1);
                for sent in [&noise, &damaged] {
                    let (status, _, text) = running.post(path, content_type, sent).await;
                    assert!([200, 400].contains(&status), "{status} {text}");
                }
                let message = match framed {
                    true => [&[0][..], &(damaged.len() as u32).to_be_bytes(), &damaged].concat(),
                    false => noise.clone(),
                };
                let code = running.call(service, "Export", &[], message.into()).await.code;
                // Taken, not decodable, no message, compressed in an unknown way, or too large by its own account.
                assert!([0, 8, 12, 13].contains(&code), "{code}");
                while running.input.try_recv_any().is_some() {}
                assert_eq!(running.post(path, content_type, &body).await.0, 200);
            }
            running.stop().await;
        });
    }
}
