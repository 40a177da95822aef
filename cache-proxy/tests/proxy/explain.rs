//! What a proxy tells about itself: over `PROXY …` and as JSON on the admin port.

use serde_json::Value;

use crate::cluster::{Proxy, echoed, nodes};

/// Status and JSON of an HTTP answer.
async fn json(proxy: &Proxy, path: &str) -> (u16, Value) {
    let answer = proxy.get(path).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

#[tokio::test]
async fn the_admin_port_answers_what_the_command_does() {
    let (_nodes, addresses) = nodes(3).await;
    let proxy = Proxy::over(&addresses, &["--workers", "2"]).await;
    let (status, view) = json(&proxy, "/view").await;
    assert_eq!((status, &view["nodes"], &view["routable"]), (200, &3.into(), &3.into()), "{view}");
    let (_, explained) = json(&proxy, "/explain?key=%7Bu1%7D.a&key=%7Bu1%7D.b").await;
    assert_eq!((&explained["sameNode"], &explained["keys"][1]["key"]), (&true.into(), &"{u1}.b".into()));
    let slot = explained["keys"][0]["slot"].clone();
    let mut client = proxy.connect().await;
    client.send(b"PROXY EXPLAIN {u1}.a\r\nPING\r\n").await;
    client.expect("*8\r\n$5\r\nproxy\r\n$6\r\nproxy1\r\n$5\r\nepoch\r\n:0\r\n$8\r\nsameNode\r\n:1\r\n").await;
    client
        .expect("$4\r\nkeys\r\n*1\r\n*18\r\n$3\r\nkey\r\n$6\r\n{u1}.a\r\n$6\r\nhashed\r\n$2\r\nu1\r\n")
        .await;
    client.expect(&format!("$4\r\nslot\r\n:{slot}\r\n$5\r\nowner\r\n")).await;
    let serving = explained["keys"][0]["serving"].as_str().unwrap().to_owned();
    let (status, outcome) = json(&proxy, &format!("/simulate?down={serving}")).await;
    assert_eq!((status, &outcome["served"]), (200, &true.into()), "{outcome}");
    for (path, expected) in [
        ("/explain", "which key? /explain?key=KEY"),
        ("/simulate?down=", "which nodes? /simulate?down=NODE,NODE"),
        ("/simulate?down=n0,nope", "no node of the view is called 'nope'; PROXY NODES lists them"),
        ("/slowlog?count=x", "value is not an integer or out of range"),
    ] {
        let (status, problem) = json(&proxy, path).await;
        assert_eq!((status, &problem["error"]), (400, &expected.into()), "{path}");
    }
    let (status, problem) = json(&proxy, "/").await;
    assert!(status == 404 && problem["error"].as_str().unwrap().contains("/explain?key=KEY"), "{problem}");
    drop(client);
    proxy.stop().await;
}

#[tokio::test]
async fn answers_keep_their_place_and_slow_requests_are_read_before_they_are_forgotten() {
    let (_nodes, addresses) = nodes(2).await;
    let proxy = Proxy::over(&addresses, &["--slowlog-log-slower-than", "0", "--slowlog-max-len", "1"]).await;
    let mut client = proxy.connect().await;
    client.send(b"GET k\r\n").await;
    client.expect(&echoed("GET k")).await;
    client
        .send(b"PROXY SLOWLOG LEN\r\nECHO a\r\nPROXY SLOWLOG RESET\r\nPROXY SLOWLOG LEN\r\nECHO b\r\n")
        .await;
    client.expect(":1\r\n$1\r\na\r\n+OK\r\n:0\r\n$1\r\nb\r\n").await;
    client.send(b"GET k\r\n").await;
    client.expect(&echoed("GET k")).await;
    let (_, slow) = json(&proxy, "/slowlog").await;
    assert_eq!((&slow[0]["command"], &slow[0]["key"]), (&"get".into(), &"k".into()), "{slow}");
    assert!(slow[0]["nodeMicros"].as_u64() <= slow[0]["totalMicros"].as_u64(), "{slow}");
    drop(client);
    proxy.stop().await;
}

#[tokio::test]
async fn the_metrics_are_told_by_node_and_by_class() {
    let (_nodes, addresses) = nodes(2).await;
    let proxy = Proxy::over(&addresses, &["--workers", "2"]).await;
    let mut client = proxy.connect().await;
    client.send(b"GET k\r\nSET k v\r\nMGET a b c d e f\r\nINCR k\r\n").await;
    client.expect(&echoed("GET k")).await;
    let (_, explained) = json(&proxy, "/explain?key=k").await;
    let node = explained["keys"][0]["serving"].as_str().unwrap().to_owned();
    let lines = [
        "cache_proxy_class_requests_total{class=\"read\"} 2",
        "cache_proxy_class_requests_total{class=\"write\"} 2",
        "cache_proxy_class_request_duration_seconds_count{class=\"write\"} 2",
        &format!("cache_proxy_node_errors_total{{node=\"{node}\",kind=\"ERR\"}} 0"),
        &format!("cache_proxy_node_connections{{node=\"{node}\"}} 2"),
    ];
    let metrics = proxy.metrics_with(&lines).await;
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).trim().parse().unwrap()
    };
    let of_node = |name: &str| value(&format!("cache_proxy_node_{name}{{node=\"{node}\"}}"));
    // What came before the connection was there is not timed.
    assert!(of_node("requests_total") >= of_node("request_duration_seconds_count"), "{metrics}");
    let infinite = format!("cache_proxy_node_request_duration_seconds_bucket{{le=\"+Inf\",node=\"{node}\"}}");
    assert_eq!(of_node("request_duration_seconds_count"), value(&infinite));
    assert!(of_node("requests_total") >= 3.0 && of_node("sent_bytes_total") > 60.0, "{metrics}");
    assert!(of_node("received_bytes_total") > 30.0 && value("cache_proxy_view_age_seconds ") >= 0.0);
    drop(client);
    proxy.stop().await;
}
