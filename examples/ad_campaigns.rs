//! Views of ads per campaign and 10 seconds of event time: the streaming benchmark of Yahoo. Events name an ad, and a table
//! says which campaign an ad belongs to; every event meets the whole table.
//!
//! ```text
//! cargo run --release --example ad_campaigns
//! cargo run --release --example ad_campaigns -- --source events=tcp://127.0.0.1:9000 --source ads=/data/ads.csv
//! ```

use dstream::prelude::*;

/// What a user did with an ad.
#[derive(Record)]
struct Event {
    user_id: String,
    page_id: String,
    ad_id: String,
    ad_type: String,
    event_type: String,
    /// In milliseconds since 1970.
    event_time: i64,
}

/// Which campaign an ad belongs to.
#[derive(Record)]
struct Ad {
    ad_id: String,
    campaign_id: String,
}

/// Views per campaign and 10 seconds; ads without a campaign are left out, and counted apart.
#[dstream::job(interval = "1s")]
fn ad_campaigns() {
    let ads = table::csv::<Ad>("examples/ads.csv");
    let campaigns = ads.map(|ad| (ad.ad_id, ad.campaign_id));

    let events = source::json::<Event>("examples/ad_events.json");
    let timed = events.event_time(|e| e.event_time, "1s");
    let views = timed.filter(|e| e.event_type == "view").map(|e| (e.ad_id, 1u64));
    let by_campaign = views.join(campaigns).map(|(_, (n, campaign))| (campaign, n));
    let counts = by_campaign.reduce_by_key_and_window(|a, b| a + b, "10s");
    counts.save("csv+stdout:");

    let unknown = views.subtract_by_key(campaigns);
    unknown.reduce_by_key_and_window(|a, b| a + b, "1min").save("none:");
}

dstream::main!(ad_campaigns);
