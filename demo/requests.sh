# Sourced by demo.sh: requests, what came of them, and the table. Uses tmp, backend, and counters: what is counted as rows.
# shellcheck shell=bash

# ---- Requests: queue some, then send them all at once --------------------------------------------------------------------------------

batch=$tmp/batch

new_batch() { rm -rf "$batch"; mkdir "$batch"; sent=0; }

queue() {  # URL KEY-OR-EMPTY BODY [CURL-CONFIG-LINE...]
  local url=$1 key=$2 body=$3 file
  shift 3
  sent=$((sent + 1))
  file=$batch/$sent
  printf '%s' "$body" >"$file.request"
  : >"$file.headers"
  : >"$file.body"
  {
    ((sent == 1)) || echo next
    echo silent
    echo "url = \"$url\""
    echo 'header = "Content-Type: application/json"'
    [[ -z $key ]] || echo "header = \"Idempotency-Key: \\\"$key\\\"\""
    echo "data-binary = \"@$file.request\""
    echo "dump-header = \"$file.headers\""
    echo "output = \"$file.body\""
    (($# == 0)) || printf '%s\n' "$@"
  } >>"$batch/requests"
}

one() { new_batch; queue "$@"; }

at_once() {  # URL KEY BODY
  new_batch
  for ((i = 0; i < parallel; i++)); do queue "$1" "$2" "$3"; done
}

# Sets answers (lines of: status, whether replayed, file). A request without any answer has status "none".
# Curl's own complaints are not wanted: a lost answer is one of the experiments, and is counted.
send() {
  curl --parallel --parallel-immediate --parallel-max "$sent" --config "$batch/requests" 2>/dev/null || true
  answers=$(awk '
    FNR == 1 { file[++n] = FILENAME }
    /^HTTP\// { status[FILENAME] = $2 }
    tolower($0) ~ /^idempotent-replayed: *true/ { replayed[FILENAME] = 1 }
    END { for (i = 1; i <= n; i++) print status[file[i]], replayed[file[i]] + 0, file[i] }' "$batch"/*.headers)
}

# Sets created, conflicts, replays, others ("422", "200 x3", ...), first (the file of the first 201), status (of the last answer),
# unlike (201s whose body is another one) and foreign (409s that are not the gateway's in-progress).
count() {
  created=0 conflicts=0 replays=0 unlike=0 foreign=0 first="" status=none
  local replayed file code answered=0 other=""
  while read -r code replayed file; do
    [[ -n $code ]] || continue
    status=$code
    file=${file%.headers}.body
    answered=$((answered + 1))
    replays=$((replays + replayed))
    case $code in
      201)
        created=$((created + 1))
        [[ -n $first ]] || first=$file
        cmp -s "$first" "$file" || unlike=$((unlike + 1))
        ;;
      409)
        conflicts=$((conflicts + 1))
        grep -q '"type":.*in-progress"' "$file" || foreign=$((foreign + 1))
        ;;
      *) other+="$code"$'\n' ;;
    esac
  done <<<"$answers"
  for ((; answered < sent; answered++)); do other+=$'none\n'; done
  others=$(tally "$other")
}

tally() {  # LINES
  printf '%s' "$1" | sort | uniq -c | awk '{ printf "%s%s%s", (NR > 1 ? ", " : ""), $2, ($1 > 1 ? " x" $1 : "") }'
}

# What the backend's own database says of each counter, once the welcome e-mails of all events are sent.
stats() {  # COUNTER...
  local json name
  for _ in {1..100}; do
    json=$(curl -fsS "$backend/stats") || die "the legacy backend does not answer"
    [[ $json =~ \"events\":([0-9]+),\"emails\":([0-9]+) ]]
    ((BASH_REMATCH[1] != BASH_REMATCH[2])) || break
    sleep 0.1
  done
  for name in "$@"; do
    [[ $json =~ \"$name\":([0-9]+) ]]
    echo "${BASH_REMATCH[1]}"
  done
}

begin() { before=$(stats "${counters[@]}"); }

end() {  # sets rows: what was added since begin, of each counter
  rows=$(paste -d' ' <(echo "$before") <(stats "${counters[@]}") | awk '{ printf "%s%d", (NR > 1 ? "/" : ""), $2 - $1 }')
}

measure() { begin; send; count; end; }  # the batch

# Tries with one key until it is known what became of the request: an answer, or the word that nobody knows. Leaves the totals of all tries
# in what measure sets, and told: what the client knows at last.
persistent_client() {  # URL KEY BODY CURL-LINE-OF-EVERY-TRY CURL-LINE-OF-THE-FIRST
  local all_conflicts=0 all_others="" tries=1
  begin
  one "$1" "$2" "$3" "$4" "$5"
  send
  count
  while ((tries == 1)) || { is_passing && ((tries < 100)); }; do
    ((tries == 1)) || sleep 0.25
    all_conflicts=$((all_conflicts + conflicts))
    all_others+=${others:+$others$'\n'}
    one "$1" "$2" "$3" "$4"
    send
    count
    tries=$((tries + 1))
  done
  end
  told=$status
  ((replays == 0)) || told+=" replayed"
  ! is_uncertain || told+=" uncertain"
  sent=$tries conflicts=$((conflicts + all_conflicts)) others=$(tally "$all_others${others:+$others$'\n'}")
}

is_passing() { [[ $status == none || $status == 503 ]] || { [[ $status == 409 ]] && ! is_uncertain; }; }

is_uncertain() { grep -q '"type":.*outcome-uncertain"' "$batch/1.body"; }

# ---- The table -----------------------------------------------------------------------------------------------------------------------

failures=0
problems=""
if [[ -t 1 ]]; then good=$'\e[32m' bad=$'\e[1;31m' plain=$'\e[0m'; else good="" bad="" plain=""; fi
line=$(printf '%.0s-' {1..130})
columns='%-8s %-39s %4s %4s %4s %11s %7s %8s  '

expect() {  # WHAT ACTUAL EXPECTED
  [[ $2 == "$3" ]] || problems+="${problems:+; }$1: ${2:-none}, expected ${3:-none}"
}

row() {  # SYSTEM EXPERIMENT VERDICT-WHEN-AS-EXPECTED
  # shellcheck disable=SC2059
  printf "$columns" "$1" "$2" "$sent" "$created" "$conflicts" "${others:--}" "$replays" "$rows"
  if [[ -z $problems ]]; then
    echo "$good$3$plain"
  else
    echo "${bad}FAILED: $problems$plain"
    failures=$((failures + 1))
  fi
  problems=""
}

heading() {  # WHAT-FOLLOWS
  printf '\n%s\n' "$1"
  # shellcheck disable=SC2059
  printf "$columns%s\n" system experiment sent 201 409 other replays rows verdict
  echo "$line"
}
