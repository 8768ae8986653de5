import { commandGroups, type CompletedCommand, type CompletedValue } from "./completed-command";

/** What is the same for every table of commands. */
const MACHINERY = `
# The addresses of the PCI devices of this machine.
_vfio_selftests_devices() {
  local path
  for path in /sys/bus/pci/devices/*; do [[ -e $path ]] && printf '%s\\n' "\${path##*/}"; done
}

# The values for what is typed ($1), from a source: a kind ($2) and words.
_vfio_selftests_values() {
  local typed=$1 kind=$2 last head
  shift 2
  last=\${typed##*,}
  head=\${typed%"$last"}
  case $kind in
    words) mapfile -t COMPREPLY < <(compgen -P "$head" -W "$*" -- "$last") ;;
    devices) mapfile -t COMPREPLY < <(compgen -P "$head" -W "$(_vfio_selftests_devices)" -- "$last") ;;
    folders) mapfile -t COMPREPLY < <(compgen -d -- "$typed"); compopt -o filenames 2>/dev/null ;;
    files) mapfile -t COMPREPLY < <(compgen -f -- "$typed"); compopt -o filenames 2>/dev/null ;;
    programs) mapfile -t COMPREPLY < <(compgen -c -- "$typed") ;;
  esac
}

_vfio_selftests() {
  # Bash breaks words at the colons of an address. The line has them whole.
  local line=\${COMP_LINE:0:COMP_POINT} typed="" command="" option="" arguments=0 word source
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] || { typed=\${words[-1]}; unset 'words[-1]'; }
  COMPREPLY=()
  for word in "\${words[@]:1}"; do
    if [[ $word == -- ]]; then
      option=--
      break
    elif [[ $word == -* ]]; then
      option=$word
      [[ -n $(_vfio_selftests_source "$command" "$option") ]] || option=""
    elif [[ -n $option ]]; then
      [[ $(_vfio_selftests_source "$command" "$option") == several* ]] || option=""
    elif ((arguments == 0)) && [[ " $(_vfio_selftests_commands "$command") " == *" $word "* ]]; then
      command=\${command:+$command }$word
    else
      arguments=$((arguments + 1))
    fi
  done

  if [[ $option == -- ]]; then
    # A program, then its arguments.
    if [[ $word == -- ]]; then source="one programs"; else source="one files"; fi
    [[ \${words[-1]} == -- ]] || source="one files"
    _vfio_selftests_values "$typed" \${source#* }
  elif [[ $typed == --*=* ]]; then
    option=\${typed%%=*}
    source=$(_vfio_selftests_source "$command" "$option")
    [[ -z $source ]] || _vfio_selftests_values "\${typed#*=}" \${source#* }
    [[ $COMP_WORDBREAKS == *=* ]] || COMPREPLY=("\${COMPREPLY[@]/#/$option=}")
  elif [[ $typed == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_vfio_selftests_options "$command")" -- "$typed")
  elif [[ -n $option ]]; then
    source=$(_vfio_selftests_source "$command" "$option")
    _vfio_selftests_values "$typed" \${source#* }
  else
    local -a subcommands=()
    if ((arguments == 0)); then
      mapfile -t subcommands < <(compgen -W "$(_vfio_selftests_commands "$command")" -- "$typed")
    fi
    source=$(_vfio_selftests_source "$command" "")
    [[ -z $source || $source == *programs ]] || _vfio_selftests_values "$typed" \${source#* }
    COMPREPLY=("\${subcommands[@]}" "\${COMPREPLY[@]}")
  fi

  # Bash puts the answer in the place of what follows the last colon.
  if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
    local before=\${typed%"\${typed##*:}"}
    before=\${before#--*=}
    COMPREPLY=("\${COMPREPLY[@]#"$before"}")
  fi
}

complete -F _vfio_selftests vfio-selftests
`;

/** The script for bash. */
export function bashCompletion(commands: readonly CompletedCommand[]): string {
  const first = new Set(commands.map(({ name }) => name.split(" ")[0] ?? ""));
  const words = [
    ["", [...first].join(" ")],
    ...[...commandGroups(commands)].map(([name, seconds]) => [name, seconds.join(" ")]),
  ];
  return [
    '# Completion of vfio-selftests for bash: eval "$(vfio-selftests completion bash)"\n',
    "# The words that make a command ($1) longer.",
    caseOf(
      "_vfio_selftests_commands",
      '"$1"',
      words.map(([name = "", list = ""]) => [[name], list]),
    ),
    "# The options of a command ($1).",
    caseOf("_vfio_selftests_options", '"$1"', [
      ...commands.map(({ name, options }) => [[name], options.flatMap(({ names }) => names).join(" ")] as const),
      [[""], "-h --help -V --version"],
    ]),
    "# Where the values of a command's ($1) option ($2) come from; without an option, those of its argument.",
    caseOf("_vfio_selftests_source", '"$1 $2"', commands.flatMap(sources)),
  ]
    .join("\n")
    .concat(MACHINERY);
}

type Branch = readonly [patterns: readonly string[], words: string];

function sources({ name, options, argument }: CompletedCommand): Branch[] {
  const ofOptions = options.flatMap(({ names, value }) =>
    value === undefined ? [] : [[names.map((option) => `${name} ${option}`), source(value)] as const],
  );
  return argument === undefined ? ofOptions : [...ofOptions, [[`${name} `], source(argument)]];
}

function source({ several, source: { kind, ...rest } }: CompletedValue): string {
  const words = "words" in rest ? rest.words : [];
  return [several ? "several" : "one", kind, ...words].join(" ");
}

/** A function that prints the words of the first branch with its argument. */
function caseOf(name: string, argument: string, branches: readonly Branch[]): string {
  const lines = branches.map(
    ([patterns, words]) => `    ${patterns.map((pattern) => quote(pattern)).join(" | ")}) echo ${quote(words)} ;;`,
  );
  return [`${name}() {`, `  case ${argument} in`, ...lines, "  esac", "}\n"].join("\n");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
