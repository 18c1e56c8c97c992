from edgecli.app import main

main()
