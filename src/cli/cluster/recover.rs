//! `portcullis cluster recover`: has one surviving node go on alone, where the majority is lost for good.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;
use portcullis_http::time::rfc3339;
use portcullis_node::safekeeping::{self, Identity, Recovery, RecoveryReport, SafekeepingFault};
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::work::{Measure, Work};

/// Arguments of `cluster recover`.
#[derive(Debug, Args)]
#[command(after_help = "\
For the case that more than half of the voters are lost for good, disks and all. If they can come back, start them
instead: nothing is lost then. Stop the node first; take the one that has the highest entry (run this on each and say no).

The node keeps everything in its log and goes on as the only one of a cluster with a new id. Whatever only the lost nodes
had is lost. Nodes of the old cluster are refused from then on, also if they come back: join them anew with new data
directories. Where a backup is newer than this node, restore that instead (portcullis cluster restore).

Example:
  portcullis cluster recover --data-dir n1")]
pub struct RecoverArguments {
    /// The data directory of the surviving node, which does not run.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The cluster's name, instead of typing it when asked.
    #[arg(long, value_name = "NAME", requires = "yes")]
    name: Option<String>,
    /// The form of what was done.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
    /// Do not ask; --name must be the cluster's.
    #[arg(long, short, requires = "name")]
    yes: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the node runs, its log or snapshot is damaged, or the name is not the cluster's.
pub async fn run(arguments: &RecoverArguments) -> Result<(), Failure> {
    let data_dir = &arguments.data_dir;
    let failed = |fault: SafekeepingFault| {
        Failure::from_fault(format!("the node in {} is not recovered", data_dir.display()), &fault)
    };
    let begun = Recovery::finish_begun(data_dir).map_err(|fault| failed(fault.into()))?;
    if let Some(identity) = begun {
        output::say("a recovery that had been cut short is finished");
        return tell_next(arguments, &identity);
    }
    let work = Work::begin("reading what the node has", Measure::Time);
    let recovery = Recovery::prepare(data_dir).await;
    drop(work);
    let recovery = recovery.map_err(|fault| failed(fault.into()))?;
    tell(recovery.report());
    confirm(arguments, recovery.report())?;
    let identity = safekeeping::recover(data_dir, recovery).map_err(failed)?;
    tell_next(arguments, &identity)
}

fn tell(report: &RecoveryReport) {
    let lost = match report.lost.as_slice() {
        [] => "none: this is the only member".to_owned(),
        lost => lost.iter().map(|node| format!("node {node}")).collect::<Vec<_>>().join(", "),
    };
    output::tell(&format!(
        "cluster {}, node {}\n  has entries up to {}, the last of {}\n  knows entries up to {} to be confirmed; those \
         after are kept, though they may never have been\n  goes on without: {lost}\nwill be lost: every change after \
         entry {}, if there was one",
        report.cluster_name,
        report.node,
        report.last_index,
        rfc3339(report.last_change_at),
        report.confirmed_index,
        report.last_index
    ));
}

fn confirm(arguments: &RecoverArguments, report: &RecoveryReport) -> Result<(), Failure> {
    let refused = |why: &str, next: &str| Failure::new(Exit::Failed, "nothing was changed", why, next);
    let typed = match &arguments.name {
        Some(name) => name.clone(),
        None if !std::io::stdin().is_terminal() => {
            let why = "there is no terminal to type the cluster's name on";
            return Err(refused(why, "give --yes and --name NAME"));
        }
        None => {
            output::tell("Type the cluster's name to go on with this node alone:");
            let mut typed = String::new();
            let read = std::io::stdin().lock().read_line(&mut typed);
            if read.is_err() { String::new() } else { typed.trim().to_owned() }
        }
    };
    if typed == report.cluster_name {
        return Ok(());
    }
    Err(refused("that is not the cluster's name", "give the name that is shown above"))
}

fn tell_next(arguments: &RecoverArguments, identity: &Identity) -> Result<(), Failure> {
    let data_dir = &arguments.data_dir;
    let sentence = format!(
        "node {} is the only one of cluster {} now ({}); what was there before is in {}/raft.before-recovery-…",
        identity.node,
        identity.cluster_name,
        identity.cluster_id,
        data_dir.display()
    );
    let whole = json!({
        "node": identity.node, "cluster": identity.cluster_name, "cluster_id": identity.cluster_id.to_string(),
        "data_dir": data_dir.display().to_string(),
    });
    output::done(arguments.output, identity.node, &sentence, &whole)?;
    output::say(&format!(
        "next: portcullis server --data-dir {}\nthen join other machines, with new data directories:\n  portcullis cluster token create",
        data_dir.display()
    ));
    Ok(())
}
