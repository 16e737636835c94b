#!/bin/bash
# A Slurm of its own on the loopback device: munged, slurmctld and slurmd with one node of two processors, partitions "low" and
# "high", of which the second preempts the first; configuration, state, spool and logs in one folder. To be sourced by tests:
#   cluster_is_installed             says what is missing
#   start_cluster FOLDER             then SLURM_CONF is set; fails after 20 s
#   stop_cluster                     ends jobs and daemons, however far the start came

daemons=()

cluster_is_installed() {
  local program missing=()
  for program in munged slurmctld slurmd sbatch; do
    PATH=$PATH:/usr/sbin command -v "$program" > /dev/null || missing+=("$program")
  done
  ((${#missing[@]} == 0)) && return 0
  echo "SKIPPED: ${missing[*]} not found; on Debian: apt-get install slurmctld slurmd slurm-client munge"
  return 1
}

stop_cluster() {
  local pid
  [[ -n ${SLURM_CONF:-} ]] || return 0
  timeout 5 scancel --full --signal=KILL --user="$(id -un)" 2> /dev/null
  for _ in {1..20}; do
    [[ -z $(timeout 5 squeue --noheader 2> /dev/null) ]] && break
    sleep 0.1
  done
  for pid in "${daemons[@]}"; do kill "$pid" 2> /dev/null; done
  for _ in {1..30}; do
    kill -0 "${daemons[@]}" 2> /dev/null || break
    sleep 0.1
  done
  # Whatever is left, jobs and their slurmstepd included: what was started with this configuration.
  grep -lsazxF "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ | cut -d / -f 3 | while read -r pid; do
    [[ $pid == "$$" || $pid == "$BASHPID" ]] || kill -9 "$pid" 2> /dev/null
  done
  wait 2> /dev/null
  return 0
}

start_cluster() {
  local folder=$1 user ports
  user=$(id -un)
  export SLURM_CONF=$folder/slurm.conf
  mkdir -p "$folder"/{state,spool,munge}
  chmod 700 "$folder/munge"
  head -c 128 /dev/urandom >"$folder/munge/key"
  chmod 600 "$folder/munge/key"
  read -r -a ports < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in sockets])')
  local host
  host=$(hostname -s)
  cat >"$SLURM_CONF" <<TEXT
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CryptoType=crypto/munge
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=1,batch_sched_delay=0,sched_min_interval=100000
KillWait=30
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=low Nodes=$host PriorityTier=1 Default=YES MaxTime=INFINITE State=UP
PartitionName=high Nodes=$host PriorityTier=10 MaxTime=INFINITE State=UP
TEXT
  munged --foreground --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
    --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" --log-file="$folder/munge/log" >"$folder/munged.out" 2>&1 &
  daemons+=($!)
  for _ in {1..50}; do [[ -S $folder/munge/socket ]] && break; sleep 0.1; done
  slurmctld -D -c >"$folder/slurmctld.out" 2>&1 &
  daemons+=($!)
  slurmd -D -N "$host" >"$folder/slurmd.out" 2>&1 &
  daemons+=($!)
  for _ in {1..200}; do
    [[ $(sinfo -h -p low -o %t 2>/dev/null) == idle ]] && return 0
    sleep 0.1
  done
  tail -n 20 "$folder"/*.log "$folder"/*.out "$folder/munge/log"
  return 1
}
