//! A wrong field in a record that a job uses everywhere, that very field included, is one error.

use dstream::prelude::*;

struct Address {
    street: String,
}

#[derive(Record)]
struct Person {
    name: String,
    home: Address,
    age: u64,
}

#[derive(Record)]
struct Couple {
    first: Person,
    second: Person,
}

fn street(person: PersonRef<'_>) -> usize {
    person.home.street.len()
}

#[dstream::job]
fn job() {
    let people = source::json::<Person>("file:people");
    let couples = source::csv::<Couple>("file:couples");
    let old = people.filter(|person| person.age > 80);
    let streets = old.map(|person| (person.home.street, 1u64));
    streets.reduce_by_key(|a, b| a + b).print();
    people.map(street).top_k(3, |n| n as u64).print();
    old.key_by(|person| person.name).running_reduce(|_, person| person).print();
    old.window("10s").map(|person| person).save("json+file://out/old");
    couples.map(|couple| (couple.first, couple.second.home)).print();
    couples.key_by(|couple| couple.first).join(people.key_by(|person| person)).print();
}

dstream::main!(job);
