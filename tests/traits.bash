# What the tests have to know about a program. Those of the appendix say it in
# appendix/NAME/traits.
#
# traits_of PROGRAM: sets
#   source       its file
#   parts        its test files, as "own epoll|loop": the files of one part run
#                one after the other, the parts at the same time. own: the file of
#                this program alone
#   waits        the calls in which it sleeps
#   start_calls  what it calls at its start beside those of all, as strace names
#                it; after a colon, as the program names it
#   threads      yes: it has several
traits_of() {
  local own
  waits=epoll_wait start_calls='epoll_create1 epoll_ctl' threads=
  case $1 in
    ex1) parts='own behaviour' waits='accept or recv' start_calls= ;;
    ex2) parts='own loop|behaviour|failures' waits='accept or recv' start_calls= ;;
    ex4) parts='own epoll|loop behaviour|failures epoll_failures' ;;
    *) parts='own epoll|loop level behaviour|failures epoll_failures' ;;
  esac
  case $1 in
    ex?)
      own=tests/$1.bats
      source=$(cd "$top" && printf '%s\n' "$1"_*/server.c)
      ;;
    *)
      parts=own
      own=appendix/$1/tests.bats source=appendix/$1/server.c
      # shellcheck disable=SC1090
      . "$top/appendix/$1/traits"
      ;;
  esac
  parts=${parts//own/$own}
}
