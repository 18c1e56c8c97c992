from edgecli.entry import main

main()
