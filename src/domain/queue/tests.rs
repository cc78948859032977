//! Examples of the rules, then properties against a model that scans.

mod properties;

use std::collections::BTreeMap;

use super::*;

const WIDE: Limits = Limits {
    total: 1_000,
    per_tenant: 1_000,
    row: 1,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn keys<T: Clone + Ord>(queue: &mut Queue<u32, T>, now: Timestamp) -> Vec<u32> {
    std::iter::from_fn(|| queue.take(now).map(|taken| taken.key)).collect()
}

#[test]
fn nothing_comes_before_it_is_due() {
    let mut queue = Queue::new(WIDE);
    queue.wake(1, "a", at(10), Class::User);
    assert_eq!(queue.take(at(9)), None);
    assert_eq!(queue.next_due(), Some(at(10)));
    let expected = Taken {
        key: 1,
        class: Class::User,
        due: at(10),
    };
    assert_eq!(queue.take(at(10)), Some(expected));
    assert_eq!(queue.take(at(11)), None);
    assert_eq!((queue.in_flight(), queue.len()), (1, 1));
    queue.done(&1, None);
    assert_eq!(queue.len(), 0);
}

#[test]
fn the_most_urgent_class_goes_first() {
    let mut queue = Queue::new(WIDE);
    for (key, class) in (0..).zip(Class::ALL.into_iter().rev()) {
        queue.wake(key, "a", at(0), class);
    }
    assert_eq!(keys(&mut queue, at(0)), [3, 2, 1, 0]);
}

#[test]
fn a_wake_moves_earlier_and_to_a_more_urgent_class_but_never_back() {
    let mut queue = Queue::new(WIDE);
    queue.wake(1, "a", at(100), Class::Routine);
    queue.wake(1, "a", at(20), Class::Routine);
    queue.wake(1, "a", at(50), Class::User);
    queue.wake(1, "a", at(90), Class::First);
    assert_eq!(queue.next_due(), Some(at(20)));
    let taken = queue.take(at(20)).unwrap();
    assert_eq!((taken.due, taken.class), (at(20), Class::User));
}

#[test]
fn the_newest_first_validation_of_a_tenant_goes_first_and_others_in_order() {
    let mut queue = Queue::new(WIDE);
    for key in 0..3 {
        queue.wake(key, "a", at(0), Class::First);
        queue.wake(key + 10, "a", at(0), Class::Routine);
    }
    queue.wake(1, "a", at(0), Class::First);
    queue.wake(10, "a", at(0), Class::Routine);
    assert_eq!(keys(&mut queue, at(0)), [2, 1, 0, 10, 11, 12]);
}

#[test]
fn tenants_take_turns_however_much_one_of_them_has() {
    let mut queue = Queue::new(WIDE);
    for key in 0..100 {
        queue.wake(key, "big", at(0), Class::Routine);
    }
    queue.wake(200, "small", at(1), Class::Routine);
    queue.wake(201, "small", at(1), Class::Routine);
    let order = keys(&mut queue, at(1));
    let places: Vec<_> = [200, 201]
        .iter()
        .map(|key| order.iter().position(|k| k == key).unwrap())
        .collect();
    assert_eq!(places, [1, 3]);
}

const ROWS: Limits = Limits {
    total: 1_000,
    per_tenant: 6,
    row: 3,
};

#[test]
fn what_nobody_waits_for_is_handed_out_in_rows_of_one_tenant() {
    let mut queue = Queue::new(ROWS);
    for key in 0..4 {
        queue.wake(key, "a", at(0), Class::Routine);
        queue.wake(10 + key, "b", at(0), Class::Routine);
    }
    assert_eq!(keys(&mut queue, at(0)), [0, 1, 2, 10, 11, 12, 3, 13]);
}

#[test]
fn what_somebody_waits_for_is_not() {
    let mut queue = Queue::new(ROWS);
    for key in 0..2 {
        queue.wake(key, "a", at(0), Class::User);
        queue.wake(10 + key, "b", at(0), Class::User);
    }
    assert_eq!(keys(&mut queue, at(0)), [0, 10, 1, 11]);
}

#[test]
fn a_row_that_ends_early_keeps_no_turn() {
    let mut queue = Queue::new(ROWS);
    queue.wake(0, "a", at(0), Class::Routine);
    for key in [10, 11] {
        queue.wake(key, "b", at(0), Class::Routine);
    }
    assert_eq!(queue.take(at(0)).unwrap().key, 0);
    assert_eq!(queue.take(at(0)).unwrap().key, 10);
    queue.wake(1, "a", at(0), Class::Routine);
    assert_eq!(keys(&mut queue, at(0)), [11, 1]);
}

#[test]
fn a_tenant_that_was_full_goes_on_when_there_is_room_for_a_row() {
    let mut queue = Queue::new(ROWS);
    for key in 0..20 {
        queue.wake(key, "a", at(0), Class::Routine);
    }
    assert_eq!(keys(&mut queue, at(0)), [0, 1, 2, 3, 4, 5]);
    for key in 0..2 {
        queue.done(&key, None);
        assert_eq!(queue.next_due(), None);
        assert_eq!(queue.take(at(0)), None);
    }
    queue.done(&2, None);
    assert_eq!(queue.next_due(), Some(at(0)));
    assert_eq!(keys(&mut queue, at(0)), [6, 7, 8]);
}

#[test]
fn a_row_begins_when_there_is_room_for_it_and_what_is_urgent_needs_none() {
    let mut queue = Queue::new(Limits { total: 4, ..ROWS });
    for key in 0..10 {
        queue.wake(key, "a", at(0), Class::Routine);
    }
    assert_eq!(keys(&mut queue, at(0)), [0, 1, 2]);
    assert_eq!(queue.next_due(), Some(at(60)), "when the others rise");
    queue.done(&0, None);
    assert_eq!(queue.take(at(0)), None);
    queue.wake(20, "b", at(0), Class::User);
    assert_eq!(queue.next_due(), Some(at(0)));
    assert_eq!(keys(&mut queue, at(0)), [20]);
    for key in [1, 2] {
        queue.done(&key, None);
    }
    assert_eq!(keys(&mut queue, at(0)), [3, 4, 5]);
}

#[test]
fn a_tenant_that_comes_and_goes_does_not_jump_the_turn() {
    let one = Limits {
        total: 1,
        per_tenant: 1,
        row: 1,
    };
    let mut queue = Queue::new(one);
    queue.wake(1, "steady", at(0), Class::User);
    queue.wake(2, "steady", at(0), Class::User);
    let mut order = Vec::new();
    for _ in 0..4 {
        queue.wake(9, "fleeting", at(0), Class::User);
        let taken = queue.take(at(0)).unwrap();
        queue.done(&taken.key, None);
        order.push(taken.key);
    }
    assert_eq!(order, [9, 1, 9, 2]);
}

#[test]
fn a_tenant_at_its_limit_is_passed_over_and_next_due_knows() {
    let limits = Limits {
        total: 3,
        per_tenant: 2,
        row: 1,
    };
    let mut queue = Queue::new(limits);
    for key in 0..5 {
        queue.wake(key, "a", at(0), Class::User);
    }
    queue.wake(10, "b", at(30), Class::Routine);
    assert_eq!(keys(&mut queue, at(0)), [0, 1]);
    assert_eq!(queue.next_due(), Some(at(30)), "a's others are held");
    assert_eq!(keys(&mut queue, at(30)), [10]);
    assert_eq!(queue.next_due(), None, "the total is reached");
    queue.done(&10, None);
    assert_eq!(queue.next_due(), None, "only held objects are left");
    queue.done(&0, None);
    assert_eq!(queue.next_due(), Some(at(0)));
    assert_eq!(keys(&mut queue, at(30)), [2]);
    let backlogs = queue.backlogs(at(30));
    assert_eq!(backlogs.map(|backlog| backlog.depth), [2, 0, 0, 0]);
    let seconds = backlogs.map(|backlog| backlog.longest_wait.as_secs());
    assert_eq!(seconds, [30, 0, 0, 0], "since they were due");
}

#[test]
fn an_object_woken_in_flight_comes_again_when_it_is_done() {
    let mut queue = Queue::new(WIDE);
    queue.wake(1, "a", at(0), Class::Routine);
    queue.take(at(0)).unwrap();
    queue.wake(1, "a", at(1), Class::User);
    assert_eq!(queue.take(at(5)), None, "never twice at once");
    queue.done(&1, Some((at(3_600), Class::Routine)));
    let taken = queue.take(at(5)).unwrap();
    assert_eq!((taken.due, taken.class), (at(1), Class::User));
    queue.wake(1, "a", at(9_000), Class::Routine);
    queue.done(&1, Some((at(3_600), Class::Routine)));
    assert_eq!(queue.next_due(), Some(at(3_600)));
}

#[test]
fn a_removal_in_flight_forgets_the_pass_but_not_the_object_that_came_back() {
    let mut queue = Queue::new(WIDE);
    for key in [1, 2] {
        queue.wake(key, "a", at(0), Class::User);
        queue.take(at(0)).unwrap();
        queue.wake(key, "a", at(0), Class::User);
        queue.remove(&key);
    }
    queue.wake(2, "b", at(7), Class::First);
    queue.done(&1, Some((at(1), Class::Routine)));
    queue.done(&2, Some((at(1), Class::Routine)));
    assert_eq!((queue.len(), queue.in_flight()), (1, 0));
    let taken = queue.take(at(7)).unwrap();
    assert_eq!(
        (taken.key, taken.due, taken.class),
        (2, at(7), Class::First)
    );
    queue.remove(&2);
    queue.done(&2, None);
    assert_eq!(queue.len(), 0);
}

#[test]
fn an_object_that_came_back_with_another_tenant_counts_for_that_one() {
    let one = Limits {
        total: 10,
        per_tenant: 1,
        row: 1,
    };
    let mut queue = Queue::new(one);
    queue.wake(1, "a", at(0), Class::User);
    queue.take(at(0)).unwrap();
    queue.remove(&1);
    queue.wake(1, "b", at(0), Class::User);
    queue.wake(2, "a", at(0), Class::User);
    assert_eq!(queue.take(at(0)), None, "the old pass holds a's share");
    queue.done(&1, None);
    assert_eq!(keys(&mut queue, at(0)).len(), 2);
}

#[test]
fn work_that_waits_rises_a_class_a_minute_and_then_alternates() {
    let mut queue = Queue::new(WIDE);
    queue.wake(1, "a", at(0), Class::Routine);
    queue.wake(1_000, "a", at(0), Class::User);
    assert_eq!(queue.take(at(0)).unwrap().key, 1_000);
    for key in 2..10 {
        queue.wake(key, "a", at(0), Class::First);
        queue.wake(key + 10, "a", at(179), Class::User);
    }
    assert!(queue.take(at(179)).unwrap().key > 10, "not at the top yet");
    let next: Vec<_> = (0..2).map(|_| queue.take(at(180)).unwrap()).collect();
    let risen = next.iter().filter(|taken| taken.class != Class::User);
    assert_eq!(risen.count(), 1, "{next:?}");
}

#[test]
fn what_has_risen_is_still_handed_out_in_rows_and_alternates_with_what_somebody_waits_for() {
    let mut queue = Queue::new(ROWS);
    for key in 0..4 {
        queue.wake(key, "a", at(0), Class::First);
        queue.wake(10 + key, "b", at(0), Class::First);
    }
    assert_eq!(queue.take(at(0)).unwrap().key, 3);
    for key in [20, 21] {
        queue.wake(key, "c", at(200), Class::User);
    }
    let order = keys(&mut queue, at(200));
    assert_eq!(order, [20, 0, 1, 2, 21, 10, 11, 12, 13]);
}

#[test]
fn the_newest_first_validation_goes_first_however_long_others_have_waited() {
    let mut queue = Queue::new(ROWS);
    for key in 0..3 {
        queue.wake(key, "a", at(0), Class::First);
    }
    queue.wake(3, "b", at(0), Class::First);
    queue.take(at(0)).unwrap();
    assert!(queue.next_due().is_some());
    queue.wake(100, "a", at(130), Class::First);
    let order = keys(&mut queue, at(130));
    assert!(order[..3].contains(&100), "{order:?}");
}

#[test]
fn a_wake_does_not_make_waiting_work_younger() {
    let mut queue = Queue::new(WIDE);
    let mut taken = Vec::new();
    for minute in 0..4_u32 {
        let now = at(i64::from(minute) * 60);
        queue.wake(1, "a", now, Class::Routine);
        for key in 0..3 {
            queue.wake(100 + minute * 3 + key, "a", now, Class::User);
        }
        taken.extend([queue.take(now).unwrap().key, queue.take(now).unwrap().key]);
    }
    assert!(taken[6..].contains(&1), "{taken:?}");
    assert!(!taken[..6].contains(&1), "{taken:?}");
}

#[test]
fn a_steady_stream_of_user_changes_starves_nothing() {
    let narrow = Limits {
        total: 1,
        per_tenant: 1,
        row: 1,
    };
    let mut queue = Queue::new(narrow);
    for key in 0..20 {
        queue.wake(key, ["a", "b"][key as usize % 2], at(0), Class::Routine);
    }
    let mut seen = BTreeMap::new();
    for second in 0..400_u32 {
        let now = at(i64::from(second));
        for flood in 0..3 {
            queue.wake(1_000 + second * 3 + flood, "a", now, Class::User);
        }
        let taken = queue.take(now).unwrap();
        queue.done(&taken.key, None);
        *seen.entry(taken.key).or_insert(0) += 1;
    }
    assert!((0..20).all(|key| seen.get(&key) == Some(&1)), "{seen:?}");
    assert!(seen.values().all(|times| *times == 1));
}

#[test]
fn single_objects_that_keep_all_places_taken_do_not_starve_a_row() {
    for class in [Class::User, Class::Renewal] {
        let mut queue = Queue::new(Limits {
            total: 4,
            per_tenant: 2,
            row: 2,
        });
        for key in 2_000..2_004 {
            queue.wake(key, 1 + key % 2, at(0), class);
        }
        let (mut flying, mut taken) = (keys(&mut queue, at(0)), Vec::new());
        assert_eq!(flying.len(), 4);
        let rows = [1_000, 1_001];
        for key in rows {
            queue.wake(key, 0, at(0), Class::Routine);
        }
        for second in 0..300 {
            let now = at(second);
            // One after the other of three tenants is always due.
            let key = u32::try_from(second).unwrap();
            queue.wake(key, 1 + key % 3, now, class);
            queue.wake(key + 500, 1 + key % 3, now, class);
            let news = keys(&mut queue, now);
            taken.extend(news.iter().map(|key| (second, *key)));
            flying.extend(news);
            if !flying.is_empty() {
                queue.done(&flying.remove(0), None);
            }
        }
        let began: Vec<i64> = taken
            .iter()
            .filter(|(_, key)| rows.contains(key))
            .map(|(second, _)| *second)
            .collect();
        let highest = i64::try_from(3 * AGEING.as_secs()).unwrap();
        assert_eq!(began.len(), 2, "{class:?}");
        assert!(
            began.iter().all(|second| *second < highest + 10),
            "{began:?}"
        );
        let singles = taken.iter().filter(|(second, _)| *second > highest + 10);
        assert!(singles.count() > 100, "they go on afterwards");
    }
}

#[test]
fn a_clock_that_steps_back_hands_out_nothing_new_early() {
    let mut queue = Queue::new(WIDE);
    queue.wake(1, "a", at(86_400), Class::Routine);
    assert_eq!(queue.take(at(86_400)).unwrap().key, 1);
    queue.done(&1, Some((at(300), Class::Routine)));
    assert_eq!(queue.take(at(0)), None);
    assert_eq!(queue.next_due(), Some(at(300)));
}

#[test]
fn ten_thousand_objects_of_a_hanging_tenant_are_not_even_looked_at() {
    let limits = Limits {
        total: 64,
        per_tenant: 4,
        row: 1,
    };
    let mut queue = Queue::new(limits);
    for key in 0..10_000 {
        queue.wake(key, 0_u32, at(0), Class::User);
    }
    assert_eq!(keys(&mut queue, at(0)).len(), 4);
    let listed = queue.dues.len() + queue.changes.len();
    let turns: usize = queue.rings.iter().map(BTreeSet::len).sum();
    assert_eq!(listed + turns, 0, "a tenant without room is in no index");
    queue.wake(20_000, 1, at(1), Class::Routine);
    assert_eq!(queue.take(at(1)).unwrap().key, 20_000);
    assert_eq!(queue.backlogs(at(1))[0].depth, 9_996);
}

#[test]
fn limits_of_zero_count_as_one() {
    let mut queue = Queue::new(Limits {
        total: 0,
        per_tenant: 0,
        row: 1,
    });
    queue.wake(1, "a", at(0), Class::User);
    assert!(queue.take(at(0)).is_some());
}

#[test]
fn labels_are_those_of_the_metric() {
    let labels = Class::ALL.map(Class::label);
    assert_eq!(labels, ["user", "renewal", "first", "routine"]);
    assert!(Class::ALL.iter().enumerate().all(|(i, c)| c.index() == i));
}
