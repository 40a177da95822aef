//! redis-rs in its default settings: `redis_rs redis PORT STEP…`.

use std::collections::{BTreeSet, HashMap};
use std::thread;
use std::time::Duration;

use clients::{Done, LIMIT, Steps, megabyte};
use redis::{Client, Commands, Connection, ConnectionLike, RedisResult, Script, cmd, pipe};

fn key(text: &str) -> String {
    format!("clients:redis-rs:{text}")
}

/// It never gives a request up by itself.
fn opened(client: &Client) -> RedisResult<Connection> {
    let connection = client.get_connection()?;
    connection.set_read_timeout(Some(LIMIT))?;
    Ok(connection)
}

fn main() -> Done {
    let steps = Steps::from_command_line()?;
    let client = Client::open(format!("redis://127.0.0.1:{}", steps.port))?;
    let mut main = opened(&client)?;
    steps.step("connect", || connect(&mut main));
    steps.step("pipeline", || pipeline(&mut main));
    steps.step("MGET", || mget(&mut main));
    steps.step("hash", || hash(&mut main));
    steps.step("zset", || zset(&mut main));
    steps.step("scan", || scan(&mut main));
    steps.step("pub/sub", || pubsub(&mut main, opened(&client)?));
    steps.step("script", || script(&mut main));
    steps.step("transaction", || transaction(&mut main, opened(&client)?));
    steps.step("blocking pop", || blocking_pop(&mut main, opened(&client)?));
    steps.step("1 MB value", || large_value(&mut main));
    steps.step("reconnect", || {
        // A connection does not come back by itself; the application opens another.
        if !main.is_open() {
            main = opened(&client)?;
        }
        main.set::<_, _, ()>(key("after"), 1)?;
        assert_eq!(main.get::<_, i64>(key("after"))?, 1);
        Ok(())
    });
    Ok(())
}

fn connect(main: &mut Connection) -> Done {
    assert_eq!(cmd("PING").query::<String>(main)?, "PONG");
    main.set::<_, _, ()>(key("a"), "1")?;
    assert!(!main.set_nx::<_, _, bool>(key("a"), "2")?);
    assert_eq!(main.get::<_, String>(key("a"))?, "1");
    assert_eq!(main.get::<_, Option<String>>(key("nothing"))?, None);
    assert!(main.expire::<_, bool>(key("a"), 1000)?);
    assert!((900..=1000).contains(&main.ttl::<_, i64>(key("a"))?));
    assert!(cmd("INFO").query::<String>(main)?.contains("redis_mode:standalone"));
    Ok(())
}

fn pipeline(main: &mut Connection) -> Done {
    let mut batch = pipe();
    for number in 0..100 {
        batch.set(key(&format!("p{number}")), number).ignore().get(key(&format!("p{number}")));
    }
    assert_eq!(batch.query::<Vec<i64>>(main)?, (0..100).collect::<Vec<_>>());
    Ok(())
}

fn mget(main: &mut Connection) -> Done {
    let names: Vec<String> = (0..20).map(|number| key(&format!("m{number}"))).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    main.mset::<_, _, ()>(&pairs)?;
    let asked: Vec<String> = [vec![key("nothing")], names.clone()].concat();
    let mut wanted = vec![None];
    wanted.extend(names.iter().cloned().map(Some));
    assert_eq!(main.mget::<_, Vec<Option<String>>>(&asked)?, wanted);
    assert_eq!(main.exists::<_, i64>(&names)?, 20);
    assert_eq!(main.del::<_, i64>(&asked)?, 20);
    Ok(())
}

fn hash(main: &mut Connection) -> Done {
    main.hset_multiple::<_, _, _, ()>(key("h"), &[("a", 1), ("b", 2)])?;
    let fields: HashMap<String, i64> = main.hgetall(key("h"))?;
    assert_eq!(fields, HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
    assert_eq!(main.hincr::<_, _, _, i64>(key("h"), "a", 41)?, 42);
    assert_eq!(main.hmget::<_, _, Vec<Option<i64>>>(key("h"), &["a", "nothing"])?, [Some(42), None]);
    assert_eq!(main.hdel::<_, _, i64>(key("h"), &["a", "b"])?, 2);
    Ok(())
}

fn zset(main: &mut Connection) -> Done {
    assert_eq!(main.zadd_multiple::<_, _, _, i64>(key("z"), &[(1.0, "one"), (0.5, "half")])?, 2);
    let ranked: Vec<(String, f64)> = main.zrange_withscores(key("z"), 0, -1)?;
    assert_eq!(ranked, [("half".to_owned(), 0.5), ("one".to_owned(), 1.0)]);
    assert_eq!(main.zscore::<_, _, f64>(key("z"), "half")?, 0.5);
    assert_eq!(main.zscore::<_, _, Option<f64>>(key("z"), "nothing")?, None);
    assert_eq!(main.zincr::<_, _, _, f64>(key("z"), "half", 2)?, 2.5);
    Ok(())
}

fn scan(main: &mut Connection) -> Done {
    let names: BTreeSet<String> = (0..50).map(|number| key(&format!("scan{number}"))).collect();
    let pairs: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    main.mset::<_, _, ()>(&pairs)?;
    let found: BTreeSet<String> = main.scan_match(key("scan*"))?.collect::<RedisResult<_>>()?;
    assert_eq!(found, names);
    Ok(())
}

fn pubsub(main: &mut Connection, mut subscriber: Connection) -> Done {
    let mut subscriber = subscriber.as_pubsub();
    subscriber.subscribe(key("news"))?;
    subscriber.psubscribe(key("ne?s"))?;
    main.publish::<_, _, ()>(key("news"), "hello")?;
    let messages = [subscriber.get_message()?, subscriber.get_message()?];
    assert_eq!(messages.iter().filter(|message| message.from_pattern()).count(), 1);
    for message in messages {
        assert_eq!((message.get_channel_name(), message.get_payload_bytes()), (&*key("news"), &b"hello"[..]));
    }
    subscriber.unsubscribe(key("news"))?;
    Ok(())
}

fn script(main: &mut Connection) -> Done {
    let add = Script::new("return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])} -- redis-rs");
    for sum in [5, 10] {
        let reply: (String, i64) = add.key(key("script")).arg(5).invoke(main)?;
        assert_eq!(reply, (key("script"), sum));
    }
    Ok(())
}

fn transaction(main: &mut Connection, mut watching: Connection) -> Done {
    let (one, two) = (key("{t}1"), key("{t}2"));
    let mut batch = pipe();
    batch.atomic().set(&one, 1).ignore().incr(&one, 1).set(&two, "x").ignore().get(&two);
    assert_eq!(batch.query::<(i64, String)>(main)?, (2, "x".to_owned()));
    let mut rounds = 0;
    let (sum,): (i64,) = redis::transaction(&mut watching, &[&one], |watching, batch| {
        rounds += 1;
        let before: i64 = watching.get(&one)?;
        // Another client is faster, once.
        if rounds == 1 {
            main.set::<_, _, ()>(&one, 40)?;
        }
        batch.set(&one, before + 2).ignore().get(&one).query(watching)
    })?;
    assert_eq!((sum, rounds), (42, 2));
    Ok(())
}

fn blocking_pop(main: &mut Connection, mut waiting: Connection) -> Done {
    assert_eq!(waiting.blpop::<_, Option<(String, String)>>(key("queue"), 0.1)?, None);
    let popped = thread::spawn(move || waiting.blpop::<_, (String, String)>(key("queue"), 10.0));
    // So late that the pop is waiting by then.
    thread::park_timeout(Duration::from_millis(200));
    main.rpush::<_, _, ()>(key("queue"), "job")?;
    let popped = popped.join().map_err(|_| "the waiting thread panicked")??;
    assert_eq!(popped, (key("queue"), "job".to_owned()));
    Ok(())
}

fn large_value(main: &mut Connection) -> Done {
    let value = megabyte();
    main.set::<_, _, ()>(key("big"), &value)?;
    assert!(main.get::<_, Vec<u8>>(key("big"))? == value);
    assert_eq!(main.strlen::<_, usize>(key("big"))?, value.len());
    Ok(())
}
