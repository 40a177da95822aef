//! fred in its default settings, with its default way to reconnect: `fred fred PORT STEP…`.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use clients::{Done, LIMIT, Steps, megabyte};
use fred::error::ErrorKind;
use fred::prelude::*;
use fred::types::scripts::Script;
use fred::types::{MessageKind, SetOptions};
use futures_util::TryStreamExt;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

/// Far longer than a message takes.
const BETWEEN_MESSAGES: Duration = Duration::from_millis(50);

fn key(text: &str) -> String {
    format!("clients:fred:{text}")
}

async fn opened(port: u16) -> FredResult<Client> {
    let config = Config { server: ServerConfig::new_centralized("127.0.0.1", port), ..Config::default() };
    // Without a policy it does not connect again.
    let client = Builder::from_config(config).set_policy(ReconnectPolicy::default()).build()?;
    client.init().await?;
    Ok(client)
}

fn main() -> Done {
    let steps = Steps::from_command_line()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let port = steps.port;
    let main = runtime.block_on(opened(port))?;
    steps.step("connect", || in_time(&runtime, connect(&main)));
    steps.step("pipeline", || in_time(&runtime, pipeline(&main)));
    steps.step("MGET", || in_time(&runtime, mget(&main)));
    steps.step("hash", || in_time(&runtime, hash(&main)));
    steps.step("zset", || in_time(&runtime, zset(&main)));
    steps.step("scan", || in_time(&runtime, scan(&main)));
    steps.step("pub/sub", || in_time(&runtime, pubsub(&main, port)));
    steps.step("script", || in_time(&runtime, script(&main)));
    steps.step("transaction", || in_time(&runtime, transaction(&main, port)));
    steps.step("blocking pop", || in_time(&runtime, blocking_pop(&main, port)));
    steps.step("1 MB value", || in_time(&runtime, large_value(&main)));
    steps.step("reconnect", || in_time(&runtime, reconnect(&main)));
    Ok(())
}

fn in_time(runtime: &Runtime, step: impl Future<Output = Done>) -> Done {
    runtime.block_on(async { timeout(LIMIT, step).await? })
}

async fn connect(main: &Client) -> Done {
    assert_eq!(main.ping::<String>(None).await?, "PONG");
    let set = |value, options| main.set::<Option<String>, _, _>(key("a"), value, None, options, false);
    assert_eq!(set("1", None).await?.as_deref(), Some("OK"));
    assert_eq!(set("2", Some(SetOptions::NX)).await?, None);
    assert_eq!(main.get::<String, _>(key("a")).await?, "1");
    assert_eq!(main.get::<Option<String>, _>(key("nothing")).await?, None);
    assert!(main.expire::<bool, _>(key("a"), 1000, None).await?);
    assert!((900..=1000).contains(&main.ttl::<i64, _>(key("a")).await?));
    assert!(main.info::<String>(None).await?.contains("redis_mode:standalone"));
    Ok(())
}

async fn pipeline(main: &Client) -> Done {
    let batch = main.pipeline();
    for number in 0..100_i64 {
        let name = key(&format!("p{number}"));
        batch.set::<(), _, _>(&name, number, None, None, false).await?;
        batch.get::<(), _>(&name).await?;
    }
    let replies: Vec<Value> = batch.all().await?;
    let values = replies.chunks(2).map(|pair| pair[1].clone().convert::<i64>());
    assert_eq!(values.collect::<FredResult<Vec<_>>>()?, (0..100).collect::<Vec<_>>());
    Ok(())
}

async fn mget(main: &Client) -> Done {
    let names: Vec<String> = (0..20).map(|number| key(&format!("m{number}"))).collect();
    let pairs: HashMap<String, String> = names.iter().cloned().map(|name| (name.clone(), name)).collect();
    main.mset(pairs).await?;
    let asked = [vec![key("nothing")], names.clone()].concat();
    let mut wanted = vec![None];
    wanted.extend(names.iter().cloned().map(Some));
    assert_eq!(main.mget::<Vec<Option<String>>, _>(asked.clone()).await?, wanted);
    assert_eq!(main.exists::<i64, _>(names).await?, 20);
    assert_eq!(main.del::<i64, _>(asked).await?, 20);
    Ok(())
}

async fn hash(main: &Client) -> Done {
    assert_eq!(main.hset::<i64, _, _>(key("h"), HashMap::from([("a", 1), ("b", 2)])).await?, 2);
    let fields: HashMap<String, i64> = main.hgetall(key("h")).await?;
    assert_eq!(fields, HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
    assert_eq!(main.hincrby::<i64, _, _>(key("h"), "a", 41).await?, 42);
    let found: Vec<Option<i64>> = main.hmget(key("h"), vec!["a", "nothing"]).await?;
    assert_eq!(found, [Some(42), None]);
    assert_eq!(main.hdel::<i64, _, _>(key("h"), vec!["a", "b"]).await?, 2);
    Ok(())
}

async fn zset(main: &Client) -> Done {
    let members = vec![(1.0, "one"), (0.5, "half")];
    assert_eq!(main.zadd::<i64, _, _>(key("z"), None, None, false, false, members).await?, 2);
    let ranked: Vec<(String, f64)> = main.zrange(key("z"), 0, -1, None, false, None, true).await?;
    assert_eq!(ranked, [("half".to_owned(), 0.5), ("one".to_owned(), 1.0)]);
    assert_eq!(main.zscore::<f64, _, _>(key("z"), "half").await?, 0.5);
    assert_eq!(main.zscore::<Option<f64>, _, _>(key("z"), "nothing").await?, None);
    assert_eq!(main.zincrby::<f64, _, _>(key("z"), 2.0, "half").await?, 2.5);
    Ok(())
}

async fn scan(main: &Client) -> Done {
    let names: BTreeSet<String> = (0..50).map(|number| key(&format!("scan{number}"))).collect();
    let pairs: HashMap<String, i64> = names.iter().cloned().map(|name| (name, 1)).collect();
    main.mset(pairs).await?;
    let found: Vec<Key> = main.scan_buffered(key("scan*"), Some(10), None).try_collect().await?;
    let found: BTreeSet<String> = found.into_iter().filter_map(Key::into_string).collect();
    assert_eq!(found, names);
    Ok(())
}

async fn pubsub(main: &Client, port: u16) -> Done {
    let subscriber = opened(port).await?;
    let mut messages = subscriber.message_rx();
    subscriber.subscribe(key("news")).await?;
    subscriber.psubscribe(key("ne?s")).await?;
    // It does not wait until they are confirmed, so the first messages may come too early.
    let (mut by_channel, mut by_pattern) = (false, false);
    while !(by_channel && by_pattern) {
        main.publish::<(), _, _>(key("news"), "hello").await?;
        if let Ok(message) = timeout(BETWEEN_MESSAGES, messages.recv()).await {
            let message = message?;
            assert_eq!((message.channel.to_string(), message.value), (key("news"), Value::from("hello")));
            by_channel |= message.kind == MessageKind::Message;
            by_pattern |= message.kind == MessageKind::PMessage;
        }
    }
    subscriber.unsubscribe(key("news")).await?;
    subscriber.quit().await?;
    Ok(())
}

async fn script(main: &Client) -> Done {
    let add = Script::from_lua("return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])} -- fred");
    for sum in [5, 10] {
        let reply: (String, i64) = add.evalsha_with_reload(main, key("script"), 5).await?;
        assert_eq!(reply, (key("script"), sum));
    }
    Ok(())
}

async fn transaction(main: &Client, port: u16) -> Done {
    let (one, two) = (key("{t}1"), key("{t}2"));
    let batch = main.multi();
    batch.set::<(), _, _>(&one, 1, None, None, false).await?;
    batch.incr::<(), _>(&one).await?;
    batch.set::<(), _, _>(&two, "x", None, None, false).await?;
    batch.get::<(), _>(&two).await?;
    let replies: (String, i64, String, String) = batch.exec(true).await?;
    assert_eq!(replies, ("OK".to_owned(), 2, "OK".to_owned(), "x".to_owned()));
    let watching = opened(port).await?;
    watching.watch(&one).await?;
    main.set::<(), _, _>(&one, "by another", None, None, false).await?;
    let lost = watching.multi();
    lost.set::<(), _, _>(&one, "lost", None, None, false).await?;
    assert_eq!(lost.exec::<Value>(true).await?, Value::Null);
    assert_eq!(main.get::<String, _>(&one).await?, "by another");
    watching.quit().await?;
    Ok(())
}

async fn blocking_pop(main: &Client, port: u16) -> Done {
    let waiting = opened(port).await?;
    // It makes an error of the reply that says that nothing came.
    let nothing = waiting.blpop::<Value, _>(key("queue"), 0.1).await;
    assert_eq!(nothing.map_err(|error| error.kind().clone()), Err(ErrorKind::Timeout));
    let push = async {
        // So late that the pop is waiting by then.
        sleep(Duration::from_millis(200)).await;
        main.rpush::<(), _, _>(key("queue"), "job").await
    };
    let popped = waiting.blpop::<(String, String), _>(key("queue"), 10.0);
    let (popped, pushed) = tokio::join!(popped, push);
    pushed?;
    assert_eq!(popped?, (key("queue"), "job".to_owned()));
    waiting.quit().await?;
    Ok(())
}

async fn large_value(main: &Client) -> Done {
    let value = megabyte();
    main.set::<(), _, _>(key("big"), value.as_slice(), None, None, false).await?;
    assert!(main.get::<Vec<u8>, _>(key("big")).await? == value);
    assert_eq!(main.strlen::<usize, _>(key("big")).await?, value.len());
    Ok(())
}

async fn reconnect(main: &Client) -> Done {
    main.set::<(), _, _>(key("after"), 1, None, None, false).await?;
    assert_eq!(main.get::<i64, _>(key("after")).await?, 1);
    Ok(())
}
