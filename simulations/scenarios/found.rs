//! What sweeps have found and a story in its own words would only hide: the least plan that failed. Every
//! check must hold.

use kontena_simulations::plan::{Ask, Deed, Plan};

use crate::support::carry_out;

fn create(service: usize, instances: u32) -> Ask {
    Ask::Create { service, instances }
}

fn update(service: usize, version: u32) -> Ask {
    Ask::Update { service, version }
}

fn scale(service: usize, instances: u32) -> Ask {
    Ask::Scale { service, instances }
}

fn cut(from: &[usize], to: &[usize]) -> Deed {
    Deed::Cut {
        from: from.to_vec(),
        to: to.to_vec(),
        both: true,
    }
}

fn replace(host: usize, sponsor: usize) -> Deed {
    Deed::Replace { host, sponsor }
}

#[test]
fn a_container_of_a_deploy_that_every_disk_lost_is_replaced_and_its_duplicate_goes() {
    let duplicate = Plan::new(20188, 2, 0)
        .ask(0, 0, create(0, 4))
        .ask(4000, 1, create(2, 1))
        .step(1_518_307, 656_985, Deed::DamageDisk { host: 0 })
        .ask(2_095_914, 1, update(0, 2))
        .ask(2_133_208, 1, update(0, 4))
        .step(2_139_850, 130_075, Deed::DamageDisk { host: 1 });
    carry_out(&duplicate);
    let left_over = Plan::new(30479, 2, 0)
        .ask(0, 0, create(0, 2))
        .step(52342, 246_369, Deed::KillNode { host: 1 })
        .ask(61521, 0, update(0, 3))
        .step(146_111, 17344, Deed::DamageDisk { host: 0 });
    carry_out(&left_over);
}

#[test]
fn a_service_that_was_removed_and_made_anew_counts_its_deploys_by_itself() {
    let service = 0;
    let plan = Plan::new(20512, 5, 0)
        .ask(0, 2, create(service, 1))
        .step(740_470, 506_333, cut(&[4], &[0, 1, 2, 3]))
        .ask(743_388, 3, create(2, 3))
        .ask(904_878, 0, Ask::Restart { service })
        .ask(1_021_873, 4, Ask::Restart { service })
        .step(1_079_095, 298_610, cut(&[0, 2], &[1, 3, 4]))
        .step(1_155_240, 242_836, Deed::StopNode { host: 4 })
        .ask(1_340_806, 3, Ask::Remove { service })
        .step(1_342_128, 656_258, cut(&[2], &[0, 1, 3, 4]))
        .ask(1_880_769, 4, create(service, 2));
    carry_out(&plan);
}

#[test]
fn an_instance_that_failed_halts_its_deploy_though_another_holder_of_it_is_healthy() {
    let plan = Plan::new(30250, 6, 0)
        .ask(2000, 1, create(1, 4))
        .ask(4000, 0, create(2, 4))
        .ask(12000, 2, Ask::Zone { node: 2, zone: 0 })
        .ask(12000, 4, Ask::Zone { node: 4, zone: 0 })
        .step(40000, 518_697, cut(&[0, 2, 3, 4], &[1, 5]))
        .step(369_778, 262_992, Deed::FailStarts { host: 3 })
        .step(383_555, 253_399, Deed::FillDisk { host: 0 })
        .ask(473_504, 4, update(2, 4));
    carry_out(&plan);
}

#[test]
fn of_two_drained_nodes_that_both_run_an_instance_one_keeps_it() {
    let plan = Plan::new(30261, 2, 0)
        .ask(0, 1, create(0, 4))
        .ask(579_930, 0, Ask::Drain { node: 1 })
        .step(1_982_802, 41144, Deed::DamageDisk { host: 1 })
        .step(1_985_033, 414_967, cut(&[0], &[1]))
        .ask(2_194_212, 0, Ask::Drain { node: 0 })
        .ask(2_270_723, 0, Ask::Activate { node: 0 })
        .step(2_328_531, 5564, Deed::DamageDisk { host: 0 });
    carry_out(&plan);
}

#[test]
fn what_a_removed_node_deployed_counts_while_what_its_removal_knew_is_on_its_way() {
    let plan = Plan::new(30043, 4, 0)
        .ask(1_081_858, 0, create(2, 4))
        .ask(1_703_311, 1, update(2, 2))
        .step(1_783_020, 616_980, replace(2, 0))
        .step(2_178_924, 221_076, cut(&[0], &[1, 2, 3]))
        .step(2_212_934, 36497, replace(1, 3))
        .ask(2_369_798, 0, Ask::Remove { service: 2 });
    carry_out(&plan);
}

#[test]
fn a_node_that_could_not_stop_a_removed_service_does_not_hinder_the_next_one_of_the_name() {
    let plan = Plan::new(31097, 4, 0)
        .ask(662_616, 1, create(1, 4))
        .step(871_352, 322_626, Deed::HangEngine { host: 3 })
        .ask(976_256, 1, Ask::Remove { service: 1 })
        .step(1_109_028, 30000, Deed::Stall { host: 3 })
        .ask(1_120_570, 1, create(1, 3));
    carry_out(&plan);
}

#[test]
fn what_a_node_that_stood_still_lost_meanwhile_is_judged_by_the_reports_that_waited() {
    let plan = Plan::new(20203, 3, 0)
        .step(428_280, 3493, Deed::RestoreDisk { host: 2 })
        .ask(502_318, 1, create(0, 4))
        .step(623_925, 30000, Deed::Stall { host: 2 })
        .step(637_055, 0, Deed::LoseContainers { host: 2 });
    carry_out(&plan);
}

#[test]
fn a_member_that_lost_what_it_knew_of_the_others_is_told_again() {
    let plan = Plan::new(20098, 2, 0)
        .step(1_299_991, 33753, Deed::DamageDisk { host: 0 })
        .ask(1_350_585, 1, Ask::Zone { node: 1, zone: 1 });
    carry_out(&plan);
}

#[test]
fn a_member_that_was_off_while_all_others_were_replaced_is_told_of_them() {
    let plan = Plan::new(20119, 3, 0)
        .step(839_403, 687_818, Deed::KillHost { host: 0 })
        .step(1_087_438, 7272, replace(1, 2))
        .step(1_185_917, 130_606, replace(2, 1));
    carry_out(&plan);
}

#[test]
fn a_node_that_is_told_its_own_report_of_a_later_life_goes_on_above_it() {
    let kill = |from, lasts, host| (from, lasts, Deed::KillHost { host });
    let mut plan = Plan::new(557, 2, 2).ask(0, 1, create(0, 4)).step(
        742_085,
        263_006,
        Deed::CloneDisk { from: 0, to: 2 },
    );
    for (from, lasts, deed) in [
        kill(784_145, 3894, 0),
        kill(1_971_096, 380_696, 1),
        kill(2_103_274, 1207, 0),
        kill(2_244_438, 1890, 0),
    ] {
        plan = plan.step(from, lasts, deed);
    }
    carry_out(&plan);
}

/// Found by seed 40320: each told the other, as fast as messages go, that nothing was known of its
/// instance as of now.
#[test]
fn two_nodes_whose_engines_hang_say_once_that_nothing_is_known_of_their_stateful_instances() {
    let plan = Plan::new(40320, 3, 0)
        .ask(0, 0, create(1, 3))
        .step(60000, 300_000, Deed::HangEngine { host: 0 })
        .step(61000, 300_000, Deed::HangEngine { host: 1 });
    carry_out(&plan);
}

#[test]
fn of_two_members_that_remove_each_other_across_a_split_the_one_admitted_first_stays() {
    let plan = Plan::new(100326, 5, 0)
        .step(656_791, 447_251, cut(&[4], &[0, 1, 2, 3]))
        .ask(
            674_717,
            1,
            Ask::RemoveNode {
                node: 4,
                force: true,
            },
        )
        .step(797_484, 83358, replace(1, 4));
    carry_out(&plan);
}

#[test]
fn a_deploy_does_not_wait_for_instances_that_no_node_fits() {
    let plan = Plan::new(70430, 2, 0).ask(8000, 1, create(6, 4)).ask(
        1_205_830,
        0,
        Ask::Restart { service: 6 },
    );
    carry_out(&plan);
}

#[test]
fn what_is_left_of_an_earlier_service_of_the_name_binds_nothing() {
    let plan = Plan::new(70060, 2, 0)
        .ask(2000, 1, create(1, 2))
        .step(2_031_015, 177_170, Deed::KillHost { host: 0 })
        .ask(2_062_926, 1, Ask::Remove { service: 1 })
        .step(2_135_877, 264_123, Deed::KillHost { host: 0 })
        .step(2_259_315, 30724, Deed::HangEngine { host: 1 })
        .ask(2_277_118, 1, create(1, 3));
    carry_out(&plan);
}

#[test]
fn what_a_node_said_before_it_was_away_relieves_nobody() {
    let one_way = Deed::Cut {
        from: vec![1],
        to: vec![0],
        both: false,
    };
    let plan = Plan::new(80287, 2, 0)
        .ask(2000, 0, create(0, 3))
        .step(899_723, 4250, cut(&[0], &[1]))
        .step(1_083_884, 503_844, one_way)
        .ask(1_101_347, 1, Ask::Remove { service: 0 });
    carry_out(&plan);
}

#[test]
fn a_definition_that_a_removed_node_wrote_is_known_to_all_or_to_nobody() {
    let redeploy = Ask::Deploy {
        service: 0,
        force: true,
    };
    let remove = Ask::RemoveNode {
        node: 3,
        force: true,
    };
    let plan = Plan::new(91403, 4, 0)
        .ask(0, 0, create(0, 3))
        .step(858_217, 595_999, cut(&[1, 3], &[0, 2]))
        .ask(1_084_890, 3, update(0, 2))
        .ask(1_340_421, 1, redeploy)
        .ask(1_432_012, 0, remove);
    carry_out(&plan);
}

#[test]
fn an_instance_that_changes_hands_and_comes_back_backs_off_as_if_it_had_stayed() {
    let one_way = Deed::Cut {
        from: vec![4],
        to: vec![0, 1, 2, 3, 5, 6],
        both: false,
    };
    let plan = Plan::new(80355, 5, 2)
        .ask(0, 1, create(0, 1))
        .ask(4000, 1, create(2, 4))
        .ask(12000, 1, Ask::Zone { node: 1, zone: 0 })
        .step(83080, 26214, one_way)
        .step(90655, 170_617, Deed::SlowLinks { host: 4, by: 372 })
        .step(104_093, 145_623, cut(&[0], &[1, 2, 3, 4, 5, 6]))
        .step(119_789, 10509, Deed::HangEngine { host: 1 })
        .step(128_521, 308_602, Deed::FailStarts { host: 1 })
        .step(135_271, 30759, Deed::CloneDisk { from: 4, to: 5 });
    carry_out(&plan);
}

#[test]
fn what_was_said_while_a_node_stood_still_relieves_nobody() {
    let stall = |host| Deed::Stall { host };
    let crash = |all| Deed::Crash { host: 0, all };
    let held_up = Deed::HoldUp {
        share: 56,
        longest: 2079,
    };
    let plan = Plan::new(700_671, 2, 0)
        .ask(192_085, 1, create(0, 2))
        .ask(199_484, 0, Ask::Drain { node: 0 })
        .ask(205_244, 0, Ask::Activate { node: 0 })
        .ask(262_037, 1, scale(0, 3))
        .step(278_572, 8410, held_up)
        .step(338_923, 15760, stall(1))
        .step(340_139, 0, Deed::LoseContainers { host: 1 })
        .step(341_070, 0, crash(false))
        .step(346_249, 0, crash(true))
        .step(346_941, 9360, stall(1))
        .ask(349_275, 1, scale(0, 1))
        .step(353_931, 60000, stall(0));
    carry_out(&plan);
}

#[test]
fn what_a_node_says_of_its_own_ways_is_news_to_its_own_network_at_once() {
    let plan = Plan::new(7, 3, 0).step(290_400, 60_403, Deed::Seclude { host: 1 });
    carry_out(&plan);
}

#[test]
fn what_is_being_started_while_its_service_is_made_anew_was_rightly_begun() {
    let plan = Plan::new(1_002_870, 2, 0)
        .ask(0, 0, create(0, 1))
        .ask(2000, 1, create(1, 1))
        .ask(82667, 1, scale(1, 2))
        .step(589_465, 74621, Deed::KillHost { host: 1 })
        .step(655_536, 31916, Deed::KillNode { host: 0 })
        .ask(667_425, 1, Ask::Remove { service: 1 })
        .ask(675_627, 1, create(1, 1));
    carry_out(&plan);
}

#[test]
fn what_runs_of_a_deploy_that_every_disk_lost_is_replaced_before_the_grid_is_at_rest() {
    let plan = Plan::new(1_004_455, 2, 0)
        .ask(2000, 1, create(1, 1))
        .ask(501_889, 1, scale(1, 2))
        .ask(502_186, 0, update(1, 2))
        .ask(
            1_494_374,
            1,
            Ask::Deploy {
                service: 1,
                force: false,
            },
        )
        .step(1_641_319, 76354, replace(1, 0))
        .step(1_683_508, 40548, Deed::DamageDisk { host: 0 });
    carry_out(&plan);
}

#[test]
fn a_node_that_only_looks_takes_nothing_on_that_it_did_not_hold() {
    let plan = Plan::new(3_001_718, 5, 0)
        .ask(4000, 1, create(7, 4))
        .step(64786, 296_172, Deed::StopNode { host: 1 })
        .step(250_640, 185_750, Deed::HangEngine { host: 3 })
        .step(368_651, 642_128, Deed::StopNode { host: 3 })
        .ask(402_053, 4, Ask::Drain { node: 2 })
        .ask(
            793_115,
            1,
            Ask::RemoveNode {
                node: 4,
                force: true,
            },
        );
    carry_out(&plan);
}

#[test]
fn what_is_on_disk_is_not_refused_because_something_before_it_is_not() {
    let plan = Plan::new(3_000_674, 2, 0)
        .ask(584_599, 1, create(3, 3))
        .step(615_454, 641_748, Deed::FillDisk { host: 0 })
        .step(763_275, 0, Deed::Move { host: 1 })
        .step(845_320, 465_561, Deed::SlowDisk { host: 0, by: 3682 })
        .step(1_126_002, 168_725, Deed::FailStarts { host: 0 })
        .ask(1_137_824, 1, Ask::Drain { node: 0 })
        .step(1_191_468, 175_604, Deed::SlowDisk { host: 1, by: 2555 })
        .ask(1_196_613, 1, Ask::Activate { node: 0 })
        .ask(1_206_110, 0, scale(3, 2))
        .ask(1_223_623, 0, Ask::Drain { node: 1 })
        .ask(1_230_419, 0, Ask::Activate { node: 1 })
        .step(1_296_973, 8806, Deed::FillDisk { host: 0 });
    carry_out(&plan);
}

#[test]
fn a_node_that_is_told_what_it_said_before_the_power_went_has_taken_nothing_by_that() {
    let kill = |host| Deed::KillHost { host };
    let plan = Plan::new(1_004_977, 6, 0)
        .step(274_850, 3825, kill(2))
        .step(1_008_168, 1039, kill(2))
        .step(1_136_051, 2206, kill(5))
        .step(1_141_089, 25511, kill(5))
        .ask(1_155_699, 4, create(6, 2))
        .step(1_155_910, 559_814, kill(2))
        .step(1_688_805, 6250, cut(&[3], &[0, 1, 2, 4, 5]))
        .step(1_697_080, 22527, kill(4))
        .step(1_706_878, 30000, Deed::Stall { host: 1 });
    carry_out(&plan);
}

#[test]
fn a_copied_node_that_stands_still_has_a_minute_from_when_it_goes_on_to_know_it() {
    let plan = Plan::new(5_000_024, 6, 2)
        .step(427_264, 60000, Deed::Stall { host: 1 })
        .step(431_146, 97123, Deed::CloneDisk { from: 1, to: 7 });
    carry_out(&plan);
}

#[test]
fn the_way_back_from_a_deploy_that_lost_to_the_other_side_of_a_split_gives_way_to_that_one() {
    let plan = Plan::new(7_100_108, 5, 0)
        .ask(798_734, 2, create(0, 1))
        .step(862_739, 212_333, cut(&[0, 1, 2], &[3, 4]))
        .ask(888_335, 1, Ask::Restart { service: 0 })
        .ask(900_846, 1, update(0, 2))
        .ask(961_279, 3, Ask::Stop { service: 0 })
        .ask(
            962_040,
            1,
            Ask::Abort {
                service: 0,
                rollback: Some(true),
            },
        )
        .ask(1_072_666, 4, update(0, 4));
    carry_out(&plan);
}

#[test]
fn a_start_that_fails_behind_a_hook_backs_off_though_the_hook_succeeds_each_time() {
    let plan = Plan::new(6_000_090, 3, 0)
        .ask(698_745, 1, create(4, 1))
        .ask(789_787, 2, update(4, 3))
        .ask(1_769_402, 2, update(4, 1))
        .step(
            1_770_683,
            43762,
            Deed::Squat {
                host: 0,
                service: 4,
            },
        );
    carry_out(&plan);
}

#[test]
fn an_image_that_is_needed_by_turns_is_asked_for_no_more_often_than_one_that_is_needed_all_the_time()
 {
    let kill = Deed::KillHost { host: 1 };
    let copy = |to| Deed::CloneDisk { from: 0, to };
    let plan = Plan::new(6_000_469, 2, 2)
        .ask(2000, 1, create(1, 3))
        .ask(4000, 1, create(2, 1))
        .step(40000, 586_037, Deed::StopNode { host: 0 })
        .step(66175, 0, Deed::KillNode { host: 1 })
        .step(205_959, 369_519, kill.clone())
        .step(278_367, 1543, kill.clone())
        .step(369_488, 317_229, copy(2))
        .step(407_055, 13864, kill)
        .step(445_232, 3523, cut(&[1], &[0, 2, 3]))
        .step(499_442, 122_110, copy(3));
    carry_out(&plan);
}

#[test]
fn what_a_lost_side_bound_of_an_earlier_life_binds_nothing_of_a_service_that_is_made_anew() {
    let scale = Ask::Scale {
        service: 1,
        instances: 3,
    };
    let plan = Plan::new(8_000_490, 4, 2)
        .ask(2000, 3, create(1, 1))
        .step(
            58_837,
            0,
            Deed::Join {
                host: 4,
                sponsor: 3,
            },
        )
        .step(683_166, 106_242, cut(&[0, 2], &[1, 3, 4, 5]))
        .ask(694_150, 0, scale)
        .ask(699_356, 1, Ask::Remove { service: 1 })
        .step(762_035, 568_672, cut(&[1, 3], &[0, 2, 4, 5]))
        .ask(1_282_670, 1, create(1, 2));
    carry_out(&plan);
}

#[test]
fn a_service_that_one_side_deploys_away_while_the_other_lists_it_again_is_told() {
    let upgrade = |services, version| Ask::Upgrade { services, version };
    let install = Ask::Install {
        services: 7,
        version: 1,
    };
    let plan = Plan::new(8_000_280, 6, 2)
        .ask(25_000, 0, install)
        .step(2_282_330, 52_058, cut(&[0, 1, 2, 3], &[4, 5]))
        .ask(2_301_677, 0, upgrade(27, 2))
        .ask(2_308_973, 0, Ask::DeployStack)
        .ask(2_309_484, 4, upgrade(4, 1));
    carry_out(&plan);
}

#[test]
fn an_instance_for_which_a_reached_node_has_no_room_left_goes_to_one_that_is_cut_off() {
    let scale = Ask::Scale {
        service: 4,
        instances: 3,
    };
    let plan = Plan::new(9_000_400, 4, 0)
        .ask(8000, 0, create(4, 1))
        .ask(321_633, 2, scale)
        .step(414_401, 129_543, Deed::KillNode { host: 2 })
        .step(437_764, 127_537, Deed::Seclude { host: 0 })
        .ask(538_506, 3, Ask::Drain { node: 3 });
    carry_out(&plan);
}

#[test]
fn of_two_machines_with_one_identity_each_says_what_the_other_has() {
    let install = Ask::Install {
        services: 7,
        version: 1,
    };
    let plan = Plan::new(9_000_662, 3, 2)
        .ask(25_000, 0, install)
        .ask(26_950, 0, Ask::DeployStack)
        .step(432_962, 261_342, cut(&[1], &[0, 2, 3, 4]))
        .step(666_264, 85_118, cut(&[2], &[0, 1, 3, 4]))
        .step(729_921, 104_223, Deed::CloneDisk { from: 2, to: 3 })
        .step(740_386, 16_000, cut(&[1], &[0, 2, 3, 4]));
    carry_out(&plan);
}

#[test]
fn nothing_is_rebalanced_while_a_member_that_was_admitted_never_came() {
    let one_way = Deed::Cut {
        from: vec![1],
        to: vec![0, 2, 3, 4],
        both: false,
    };
    let join = Deed::Join {
        host: 4,
        sponsor: 1,
    };
    let plan = Plan::new(9_000_547, 3, 2)
        .step(1_561_141, 346_748, one_way)
        .ask(1_648_806, 2, create(4, 4))
        .step(1_873_171, 0, join);
    carry_out(&plan);
}

#[test]
fn what_both_sides_bound_is_given_up_by_the_one_that_hears_the_other() {
    let scale = |instances| Ask::Scale {
        service: 1,
        instances,
    };
    let one_way = Deed::Cut {
        from: vec![0],
        to: vec![1],
        both: false,
    };
    let plan = Plan::new(9_000_844, 2, 0)
        .ask(2000, 1, create(1, 1))
        .step(808_254, 564_738, one_way)
        .ask(907_943, 0, scale(2))
        .ask(1_357_690, 1, scale(4));
    carry_out(&plan);
}

#[test]
fn a_node_that_knows_that_it_is_a_copy_takes_nothing_more() {
    let one_way = Deed::Cut {
        from: vec![3],
        to: vec![0, 1, 2, 4, 5],
        both: false,
    };
    let zone = Ask::Zone { node: 0, zone: 1 };
    let plan = Plan::new(9_000_969, 4, 2)
        .ask(0, 0, create(5, 2))
        .step(0, 0, Deed::Drift { host: 0, by: -37 })
        .step(0, 0, Deed::Drift { host: 1, by: 197 })
        .ask(4000, 2, create(7, 2))
        .ask(6000, 3, create(0, 3))
        .ask(12_000, 0, zone)
        .step(97_517, 79_073, cut(&[0], &[1, 2, 3, 4, 5]))
        .step(123_166, 701, Deed::DamageDisk { host: 2 })
        .step(146_592, 48_408, one_way)
        .step(163_712, 73_138, Deed::Double { share: 84 })
        .step(168_659, 97_071, Deed::CloneDisk { from: 3, to: 4 })
        .step(174_571, 39_555, cut(&[2], &[0, 1, 3, 4, 5]))
        .step(178_005, 21_330, Deed::CloneDisk { from: 3, to: 5 });
    carry_out(&plan);
}

#[test]
fn what_a_health_check_ends_is_started_again_though_its_deploy_was_aborted() {
    let service = 4;
    let abort = Ask::Abort {
        service,
        rollback: None,
    };
    let falls_ill = Deed::FallIll {
        host: 3,
        all: false,
    };
    let plan = Plan::new(9_500_759, 4, 0)
        .ask(8000, 1, create(service, 4))
        .ask(157_356, 2, update(service, 2))
        .ask(164_446, 3, abort)
        .step(276_734, 0, falls_ill);
    carry_out(&plan);
}

#[test]
fn an_only_instance_that_both_sides_ran_leaves_the_names_before_it_is_replaced() {
    let upgrade = |services, version| Ask::Upgrade { services, version };
    let install = Ask::Install {
        services: 7,
        version: 1,
    };
    let plan = Plan::new(9_700_204, 2, 0)
        .ask(25000, 0, install)
        .step(817_734, 124_484, cut(&[0], &[1]))
        .ask(830_738, 0, upgrade(10, 1))
        .ask(834_749, 0, Ask::DeployStack)
        .ask(843_687, 0, upgrade(14, 1))
        .ask(844_156, 1, upgrade(28, 3))
        .ask(851_046, 0, Ask::DeployStack)
        .ask(852_946, 1, Ask::DeployStack)
        .step(880_970, 16420, Deed::DamageDisk { host: 0 });
    carry_out(&plan);
}

#[test]
fn what_two_nodes_refused_stays_where_it_works_again() {
    let fails = |host| Deed::FailStarts { host };
    let install = Ask::Install {
        services: 7,
        version: 1,
    };
    let service = 0;
    let plan = Plan::new(9_501_066, 2, 0)
        .ask(25000, 0, install)
        .ask(31633, 0, Ask::DeployStack)
        .step(1_500_974, 334_071, fails(1))
        .ask(1_646_220, 1, create(service, 3))
        .step(1_745_637, 231_960, fails(0))
        .step(1_849_322, 550_678, fails(1))
        .ask(1_919_320, 0, Ask::Restart { service })
        .ask(1_962_182, 1, Ask::Remove { service })
        .ask(2_185_093, 1, create(service, 4));
    carry_out(&plan);
}

#[test]
fn what_is_scaled_up_while_its_hooks_before_the_stop_run_is_replaced_all_the_same() {
    let service = 4;
    let plan = Plan::new(9_800_841, 2, 0)
        .ask(4000, 1, create(service, 1))
        .ask(734_686, 0, Ask::Restart { service })
        .ask(735_170, 0, scale(service, 3));
    carry_out(&plan);
    let mut plan = Plan::new(9_801_043, 5, 0).ask(8000, 1, create(service, 1));
    for (node, zone) in [0, 1, 0, 1, 1].into_iter().enumerate() {
        plan = plan.ask(12000, node, Ask::Zone { node, zone });
    }
    let plan =
        plan.ask(1_212_632, 3, Ask::Restart { service })
            .ask(1_213_439, 3, scale(service, 2));
    carry_out(&plan);
}

#[test]
fn a_node_that_stood_still_believes_its_own_engine() {
    let install = Ask::Install {
        services: 7,
        version: 1,
    };
    let fails = |host| Deed::FailStarts { host };
    let plan = Plan::new(9_800_509, 2, 0)
        .ask(25000, 0, install)
        .ask(27_517, 0, Ask::DeployStack)
        .step(594_560, 267_501, fails(1))
        .step(665_220, 33534, Deed::StopNode { host: 1 })
        .step(676_069, 156_649, Deed::StopNode { host: 0 })
        .step(1_235_970, 298_995, Deed::StopNode { host: 0 })
        .step(1_359_227, 312_655, fails(1))
        .step(1_369_887, 22101, Deed::StopNode { host: 1 })
        .step(1_448_793, 39802, Deed::StopNode { host: 1 })
        .step(1_463_511, 0, Deed::Crash { host: 1, all: true })
        .step(1_507_040, 51031, Deed::Stall { host: 1 })
        .step(1_508_181, 0, Deed::LoseContainers { host: 0 })
        .step(1_522_387, 60000, Deed::Stall { host: 0 });
    carry_out(&plan);
}

#[test]
fn who_left_is_nobody_though_its_sponsor_was_removed_by_one_that_never_knew_it() {
    let leave = Ask::Leave { force: false };
    let plan = Plan::new(9_800_526, 6, 2)
        .step(237_230, 625_817, cut(&[0, 2, 3, 4, 5, 6, 7], &[1]))
        .step(
            451_383,
            0,
            Deed::Join {
                host: 6,
                sponsor: 4,
            },
        )
        .ask(454_169, 6, leave)
        .step(679_587, 4802, replace(4, 1))
        .step(704_817, 1436, replace(4, 3));
    carry_out(&plan);
}

#[test]
fn what_links_to_a_service_whose_holder_is_away_waits_for_it_ten_minutes() {
    let install = Ask::Install {
        services: 7,
        version: 1,
    };
    let upgrade = |services, version| Ask::Upgrade { services, version };
    let plan = Plan::new(9_801_326, 4, 0)
        .ask(25000, 0, install)
        .ask(27_470, 0, Ask::DeployStack)
        .step(669_903, 82495, cut(&[0, 1, 2], &[3]))
        .step(677_104, 238_614, Deed::StopNode { host: 1 })
        .ask(684_631, 0, upgrade(2, 2))
        .ask(692_918, 0, Ask::DeployStack)
        .step(694_175, 150_546, replace(2, 1))
        .ask(695_617, 0, upgrade(30, 1))
        .ask(708_319, 0, Ask::DeployStack)
        .step(746_565, 253_959, Deed::StopNode { host: 3 });
    carry_out(&plan);
}

#[test]
fn what_was_never_deployed_before_begins_though_what_it_links_to_failed() {
    let install = Ask::Install {
        services: 7,
        version: 1,
    };
    let upgrade = Ask::Upgrade {
        services: 15,
        version: 3,
    };
    let plan = Plan::new(9_902_122, 2, 0)
        .ask(25000, 0, install)
        .step(1_959_200, 69117, Deed::FailStarts { host: 0 })
        .ask(2_013_621, 1, Ask::DeployStack)
        .ask(2_016_363, 0, upgrade)
        .ask(2_023_050, 0, Ask::DeployStack);
    carry_out(&plan);
}

#[test]
fn what_no_node_may_run_anew_does_not_hold_up_the_others_of_its_deploy() {
    let service = 6;
    let other = |host| Deed::OtherProcessor { host };
    let plan = Plan::new(9_904_258, 3, 0)
        .step(0, 0, other(0))
        .step(0, 0, other(2))
        .step(
            0,
            0,
            Deed::BuiltForMost {
                service,
                version: 3,
            },
        )
        .ask(8000, 2, create(service, 4))
        .ask(600_000, 2, update(service, 3));
    carry_out(&plan);
}

#[test]
fn a_failure_at_the_other_sides_deploy_of_one_number_halts_nothing() {
    let service = 3;
    let plan = Plan::new(9_910_122, 3, 0)
        .ask(6000, 1, create(service, 4))
        .step(80_151, 321_093, Deed::FailStarts { host: 1 })
        .ask(87_707, 0, update(service, 2))
        .ask(100_326, 0, update(service, 3))
        .step(360_980, 7500, cut(&[0], &[1, 2]))
        .ask(365_362, 0, update(service, 4))
        .ask(365_903, 2, update(service, 2));
    carry_out(&plan);
}

#[test]
fn a_member_whose_disk_became_a_copy_of_anothers_is_removed_and_its_machine_joins_anew() {
    let plan = Plan::new(102, 2, 2)
        .ask(2000, 1, create(6, 3))
        .step(40000, 601_527, Deed::SlowLinks { host: 0, by: 1145 })
        .step(504_124, 49646, cut(&[0, 2], &[1, 3]))
        .step(
            505_683,
            0,
            Deed::Join {
                host: 2,
                sponsor: 0,
            },
        )
        .step(506_124, 72199, Deed::KillHost { host: 0 })
        .step(
            510_086,
            0,
            Deed::Join {
                host: 3,
                sponsor: 1,
            },
        )
        .step(997_070, 695, Deed::CloneDisk { from: 1, to: 3 });
    carry_out(&plan);
}
