# What the tests have to know about a program, in one table. A program of the
# appendix says in appendix/NAME/traits what is different from the defaults.
#
# traits_of PROGRAM: sets
#   source       its file
#   parts        its test files, as "own epoll|loop": the files of one part run
#                one after the other, the parts at the same time. own: the file of
#                this program alone. in:NAME: this part tests the program in the
#                folder NAME, below the one where programs are built
#   arguments    what follows the port on its command line
#   accept       the call that takes a client
#   waits        the calls in which it sleeps
#   start_calls  what it calls at its start beside socket, setsockopt, bind and
#                listen; after a colon, as the program names it
#   epoll_ctls   how often it calls epoll_ctl at its start
#   serves       many clients, or one
#   prints_line  yes: a line of 40 dashes precedes each request
#   on_signal    SIGINT and SIGTERM: dies, or exits with status 0
#   threads      yes: it has several
#   untraced     calls that strace does not see, as "recv|send"
#   refused      the call with which it fails where the kernel forbids it to run
#   skips        shared tests that do not fit, a line for each: "TEST: WHY"
traits='source parts arguments accept waits start_calls epoll_ctls serves prints_line on_signal
  threads untraced refused skips'
traits_of() {
  local own=tests/$1.bats
  source="" arguments="" parts='own level behaviour|epoll|loop epoll_failures|failures'
  accept=accept4 waits=epoll_wait start_calls='epoll_create1 epoll_ctl' epoll_ctls=1
  serves=many prints_line=yes on_signal=dies
  threads='' untraced='' refused='' skips=''
  case $1 in
    ex1) parts='own behaviour' serves=one prints_line='' ;;
    ex2) parts='own loop|behaviour|failures' ;;
    ex4) parts='own behaviour|epoll|loop epoll_failures|failures' ;;
  esac
  case $1 in
    ex1 | ex2) accept=accept waits='accept or recv' start_calls='' ;;
  esac
  if [ -e "$top/appendix/$1/traits" ]; then
    own=appendix/$1/tests.bats source=appendix/$1/server.c parts=own
    # shellcheck disable=SC1090
    . "$top/appendix/$1/traits"
  else
    local files=("$top/$1"_*/server.c)
    source=${files[0]#"$top/"}
  fi
  parts=${parts//own/$own}
}
